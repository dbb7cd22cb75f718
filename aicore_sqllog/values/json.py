"""
Any value as JSON text that SQLite, PostgreSQL and MariaDB all take, deterministically and without raising.

========================  =======================================================
value                     JSON
========================  =======================================================
NaN, ±Infinity            the strings ``"NaN"``, ``"Infinity"``, ``"-Infinity"``
an integer over 64 bits   its digits, as a string
``datetime``, ``UUID``    their ISO and dashed texts; ``Decimal`` its digits
bytes                     their text if they are UTF-8, else ``"base64:…"``
a set                     a sorted list
a key that is no string   its text; of two that become the same, the later is numbered
NUL, a lone surrogate     as in :func:`aicore_sqllog.values.text.clean_text`
what nests over 28 deep   its JSON as one string (MariaDB reads 32 levels)
what is very large        a part of it, and a marker (see ``values/limits.py``)
========================  =======================================================
"""

import orjson

from aicore_sqllog.values.tree import to_plain

__all__ = ["dump_json", "to_json"]


def to_json(value: object) -> str:
    """Return *value* as JSON text; see the module for what becomes of values that JSON does not know."""
    return orjson.dumps(to_plain(value)).decode()


def dump_json(tree: object) -> str:
    """Return as JSON text what :func:`~aicore_sqllog.values.tree.to_plain` has made, and texts of others in it."""
    try:
        encoded = orjson.dumps(tree)
    except (TypeError, RecursionError):
        return to_json(tree)
    return to_json(tree) if b"\\u0000" in encoded else encoded.decode()
