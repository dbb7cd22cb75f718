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
========================  =======================================================
"""

import base64
import math
from collections.abc import Container, Iterable
from typing import Any

import orjson

from aicore_sqllog.values.freeze import describe
from aicore_sqllog.values.text import clean_text

__all__ = ["number_key", "to_json", "to_plain"]

_MAX_DEPTH = 28
_MAX_INTEGER_BITS = 63


def to_json(value: object) -> str:
    """Return *value* as JSON text; see the module for what becomes of values that JSON does not know."""
    try:
        encoded = orjson.dumps(value)
    except (TypeError, RecursionError):
        return _encode_with_care(value)
    # What orjson takes but must not be stored as it is: NUL, NaN (which it makes null), deep nesting.
    if b"\\u0000" in encoded or b"null" in encoded or encoded.count(b"[") + encoded.count(b"{") > _MAX_DEPTH:
        return _encode_with_care(value)
    return encoded.decode()


def to_plain(value: object) -> object:
    """Return *value* as what JSON knows: mappings with text keys, lists, texts, numbers, booleans and None."""
    return _clean(value, 0, set())


def number_key(name: str, taken: Container[str]) -> str:
    """Return *name*, with a number where it is taken."""
    text, number = name, 2
    while name in taken:
        name, number = f"{text} ({number})", number + 1
    return name


def _encode_with_care(value: object) -> str:
    return orjson.dumps(to_plain(value)).decode()


def _clean(value: object, depth: int, parents: set[int]) -> object:
    kind = type(value)
    if kind is str:
        return clean_text(value)  # type: ignore[arg-type]
    if value is None or kind is bool:
        return value
    if kind in (dict, list, tuple, set, frozenset):
        return _clean_container(value, depth, parents)
    return _clean_scalar(value)


def _clean_container(value: Any, depth: int, parents: set[int]) -> object:
    if id(value) in parents:
        return "<within itself>"
    if depth >= _MAX_DEPTH:
        return _flatten(value)
    parents.add(id(value))
    try:
        if type(value) is dict:
            return _clean_mapping(value.items(), depth + 1, parents)
        items = sorted(value, key=_sort_key) if type(value) in (set, frozenset) else value
        return [_clean(item, depth + 1, parents) for item in items]
    finally:
        parents.discard(id(value))


def _clean_mapping(items: Iterable[tuple[object, object]], depth: int, parents: set[int]) -> dict[str, object]:
    cleaned: dict[str, object] = {}
    for key, item in items:
        name = clean_text(key) if isinstance(key, str) else _key_text(key)
        cleaned[number_key(name, cleaned)] = _clean(item, depth, parents)
    return cleaned


def _clean_scalar(value: Any) -> object:
    kind = type(value)
    if kind is int:
        return value if value.bit_length() <= _MAX_INTEGER_BITS else _integer_text(value)
    if kind is float:
        return value if math.isfinite(value) else _NON_FINITE.get(value, "NaN")
    if kind is bytes:
        return _clean_bytes(value)
    if hasattr(kind, "isoformat"):
        return str(value.isoformat())
    try:
        return clean_text(str(value))
    except Exception:
        return clean_text(describe(value))


_NON_FINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}


def _integer_text(value: int) -> str:
    """Return the digits of *value*, in hexadecimal where Python refuses to write so many decimal ones."""
    try:
        return str(value)
    except ValueError:
        return hex(value)


def _clean_bytes(value: bytes) -> str:
    try:
        return clean_text(value.decode())
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(value).decode()


def _key_text(key: object) -> str:
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    return clean_text(_integer_text(key) if isinstance(key, int) else describe(key))


def _sort_key(item: object) -> tuple[str, str]:
    return type(item).__qualname__, describe(item)


def _flatten(value: object) -> str:
    try:
        return clean_text(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS, default=describe).decode())
    except (TypeError, RecursionError):
        return "<nested too deeply>"
