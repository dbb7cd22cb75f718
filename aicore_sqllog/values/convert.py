"""
A field's raw value into what its column takes: pure, never raising.

Each function returns the value that fits, or None, and whether the raw value was right; one that
was not is kept beside the record, in ``extras["sqllog"]["invalid"]``.
"""

import math
import re
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from aicore_sqllog.values.freeze import describe
from aicore_sqllog.values.text import NAME_LENGTH, clean_text, fit_name

__all__ = ["to_consent", "to_cost", "to_count", "to_instant", "to_name", "to_text"]

MAX_COUNT = 2**31 - 1
"""The largest number that an ``Integer`` column takes on every database."""

_DIGITS = re.compile(r"\d{1,10}", re.ASCII)


_YES = frozenset({"true", "1", "yes", "on"})


def to_consent(raw: object) -> bool:
    """Whether *raw* lets texts be stored: True, and None, which has no opinion. What is not understood does not."""
    return raw is None or raw is True or (isinstance(raw, str | int) and str(raw).strip().lower() in _YES)


def to_name(raw: object) -> tuple[str | None, bool]:
    """A name or an id of at most 255 characters; a longer one is shortened with its hash."""
    if raw is None:
        return None, True
    if type(raw) is str and len(raw) <= NAME_LENGTH:
        return clean_text(raw), True
    if isinstance(raw, str):
        return fit_name(raw), len(raw) <= NAME_LENGTH
    return fit_name(_text_of(raw)), False


def to_text(raw: object) -> tuple[str | None, bool]:
    """Text of any length."""
    if raw is None:
        return None, True
    return (clean_text(raw), True) if isinstance(raw, str) else (clean_text(_text_of(raw)), False)


def to_count(raw: object) -> tuple[int | None, bool]:
    """A whole number from 0 to 2,147,483,647; a float is rounded to the nearest."""
    if raw is None:
        return None, True
    if type(raw) is int:
        return (raw, True) if 0 <= raw <= MAX_COUNT else (None, False)
    if isinstance(raw, str):
        number = int(raw) if _DIGITS.fullmatch(raw) else None
        return number if number is not None and number <= MAX_COUNT else None, False
    if isinstance(raw, float | Decimal) and math.isfinite(raw) and 0 <= raw <= MAX_COUNT:
        return round(raw), True
    return None, False


def to_cost(raw: object) -> tuple[float | None, bool]:
    """A finite amount; the currency is the application's."""
    if raw is None:
        return None, True
    if isinstance(raw, bool) or not isinstance(raw, int | float | Decimal | str):
        return None, False
    try:
        amount = float(Decimal(raw) if isinstance(raw, str) else raw)
    except (InvalidOperation, OverflowError, ValueError):
        return None, False
    if not math.isfinite(amount):
        return None, False
    return amount, not isinstance(raw, str)


def to_instant(raw: object) -> tuple[datetime | None, bool]:
    """An aware instant in UTC: of a datetime (a naive one is UTC), ISO 8601 text, or seconds since 1970."""
    try:
        if isinstance(raw, str):
            raw = datetime.fromisoformat(raw)
        if isinstance(raw, datetime):
            utc = raw.replace(tzinfo=UTC) if raw.tzinfo is None else raw.astimezone(UTC)
            return utc, True
        if isinstance(raw, date):
            return datetime(raw.year, raw.month, raw.day, tzinfo=UTC), True
        if isinstance(raw, int | float | Decimal) and not isinstance(raw, bool):
            return datetime.fromtimestamp(float(raw), UTC), True
    except (ValueError, OverflowError, OSError):
        pass
    return None, raw is None


def _text_of(raw: Any) -> str:
    try:
        return str(raw)
    except Exception:
        return describe(raw)
