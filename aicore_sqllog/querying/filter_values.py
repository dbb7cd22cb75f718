"""
What a filter takes, read into the value that is compared, or a ValueError that names filter and value.
"""

import numbers
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from aicore_sqllog.values import ids
from aicore_sqllog.values.text import clean_text, fit_name

__all__ = [
    "read_amount",
    "read_count",
    "read_end",
    "read_expressions",
    "read_id",
    "read_name",
    "read_session",
    "read_several",
    "read_start",
    "read_text",
]

_LARGEST_COUNT = 2**62
"""No column holds more, and a larger number does not fit a driver's integer."""


def read_several(name: str, value: object, read_one: Callable[[str, object], Any]) -> tuple[Any, ...]:
    """Return the values of a filter that takes one or several; None stays, and means NULL."""
    if isinstance(value, bytes | bytearray | Mapping):
        raise _refusal(name, value, "a text or a sequence of texts")
    values = [value] if isinstance(value, str | UUID) or not isinstance(value, Iterable) else value
    return tuple(None if one is None else read_one(name, one) for one in values)


def read_name(name: str, value: object) -> str:
    """Return a name, cut and cleaned as it was when it was stored."""
    if not isinstance(value, str):
        raise _refusal(name, value, "a text or a sequence of texts")
    return fit_name(str.__str__(value))  # of an enum's member the value, which a driver can bind


def read_text(name: str, value: object) -> str:
    """Return a text, cleaned as it was when it was stored."""
    if not isinstance(value, str):
        raise _refusal(name, value, "a text")
    return clean_text(str.__str__(value))


def read_session(name: str, value: object) -> UUID | str:
    """Return a UUID, which compares with ``session_id``, or any other text, which does with ``session_key``."""
    found = ids.parse_uuid(value)
    return UUID(found) if found is not None else read_name(name, value)


def read_id(name: str, value: object) -> str:
    """Return an operation's id: of any text that is no UUID the one that is derived from it."""
    found = ids.parse_uuid(value)
    if found is not None:
        return found
    if not isinstance(value, str):
        raise _refusal(name, value, "an id, as text or UUID, or a sequence of ids")
    return ids.operation_id(value)


def read_count(name: str, value: object) -> int | float:
    """Return a bound of whole numbers; it may have a fraction itself."""
    number = _number(name, value)
    if isinstance(number, numbers.Integral):
        return max(-_LARGEST_COUNT, min(_LARGEST_COUNT, int(number)))
    return _finite(number)


def read_amount(name: str, value: object) -> float:
    """Return a bound of numbers with a fraction."""
    return _finite(_number(name, value))


def read_start(name: str, value: object) -> datetime:
    """Return the moment from which on a period is."""
    moment = _moment(name, value)
    return moment if isinstance(moment, datetime) else _midnight(moment)


def read_end(name: str, value: object) -> datetime | None:
    """
    Return the moment before which a period is; None where it has no end.

    A datetime is exclusive, so that adjoining windows do not overlap; a date alone includes its day.
    """
    moment = _moment(name, value)
    if isinstance(moment, datetime):
        return moment
    return None if moment == date.max else _midnight(moment + timedelta(days=1))


def read_expressions(value: object) -> tuple[sa.ColumnElement[bool], ...]:
    """Return the SQLAlchemy expressions of ``where``."""
    expressions = tuple(value) if isinstance(value, list | tuple) else (value,)
    for expression in expressions:
        if not isinstance(expression, sa.ColumnElement):
            raise ValueError(
                f"where holds {type(expression).__name__}, which is no SQLAlchemy expression. "
                "Allowed: such as LlmOperation.cost > 1, or a list of them."
            )
    return expressions


def _number(name: str, value: object) -> numbers.Real | Decimal:
    if isinstance(value, bool) or not isinstance(value, numbers.Real | Decimal) or _is_nan(value):
        raise _refusal(name, value, "a number")
    return value


def _is_nan(value: numbers.Real | Decimal) -> bool:
    # A fraction or a whole number may be too large for math.isnan, which makes a float of it.
    return value.is_nan() if isinstance(value, Decimal) else bool(value != value)


def _finite(value: numbers.Real | Decimal) -> float:
    """Return *value* as a float that every database can be sent."""
    largest = sys.float_info.max
    return float(max(-largest, min(largest, value)))


def _moment(name: str, value: object) -> datetime | date:
    """Return a date where the value is a date alone, else an aware datetime."""
    try:
        if isinstance(value, str):
            value = _parse_moment(value)
        if isinstance(value, datetime):
            return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        if isinstance(value, date):
            return value
    except (ValueError, OverflowError):
        pass
    raise _refusal(name, value, "a date, a datetime or its ISO 8601 text, such as '2026-01-31'")


def _parse_moment(text: str) -> datetime | date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return datetime.fromisoformat(text)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _refusal(name: str, value: object, allowed: str) -> ValueError:
    return ValueError(f"{name}={value!r} cannot be right. Allowed: {allowed}.")
