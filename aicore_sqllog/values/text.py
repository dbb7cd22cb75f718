"""
Text that every database can hold: one table of replacements and one rule for long names.

Used on the way in (capture) and in filters (querying), so that what was logged is found
again by the value that the caller wrote. Knows nothing of SQL.
"""

import hashlib
import re

__all__ = ["NAME_LENGTH", "clean_text", "fit_name"]

NAME_LENGTH = 255
"""The number of characters of every column that holds a name or an id."""

_DIGEST_LENGTH = 64
_KEPT_LENGTH = NAME_LENGTH - _DIGEST_LENGTH - 1

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def _replacement(match: re.Match[str]) -> str:
    return "\u2400" if match.group() == "\0" else "\ufffd"


def clean_text(text: str) -> str:
    """
    Return *text* with NUL as U+2400 (``␀``) and each lone surrogate as U+FFFD (``�``).

    PostgreSQL refuses the first and every driver the second. All other code points are left as
    they are; text that needs no change comes back as the same object.
    """
    if text.isascii() and "\0" not in text:
        return text
    return _UNSTORABLE.sub(_replacement, text)


def fit_name(text: str) -> str:
    """
    Return *text* cleaned and, where it has more than 255 characters, shortened with its hash.

    A shortened name is its first 190 characters, ``…`` and the SHA-256 of the whole in
    hexadecimal, so two long names that begin alike stay different, and a filter on the whole name
    finds its row.
    """
    text = clean_text(text)
    if len(text) <= NAME_LENGTH:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{text[:_KEPT_LENGTH]}…{digest}"
