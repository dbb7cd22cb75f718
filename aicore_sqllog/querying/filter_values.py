"""
What a filter takes, read into the value that is compared, or a ValueError that names filter and value.
"""

import numbers
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

import sqlalchemy as sa

from aicore_sqllog.values import ids
from aicore_sqllog.values.text import clean_text, fit_name

__all__ = [
    "Member",
    "Scalar",
    "read_amount",
    "read_count",
    "read_end",
    "read_expressions",
    "read_id",
    "read_members",
    "read_name",
    "read_path",
    "read_session",
    "read_several",
    "read_start",
    "read_text",
]

_LARGEST_COUNT = 2**62
"""No column holds more, and a larger number does not fit a driver's integer."""

_LONGEST_PATH = 8

Scalar: TypeAlias = str | float | bool | None
"""What a value of a JSON document is compared with."""


class Member(NamedTuple):
    """One member of a document, and what it may be; None is null or absent."""

    path: tuple[str | int, ...]
    values: tuple[Scalar, ...]


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


def read_start(name: str, value: object, zone: tzinfo = UTC) -> datetime:
    """Return the moment from which on a period is; a date, or a time without a zone, means *zone*."""
    moment = _moment(name, value, zone)
    return moment if isinstance(moment, datetime) else _midnight(moment, zone)


def read_end(name: str, value: object, zone: tzinfo = UTC) -> datetime | None:
    """
    Return the moment before which a period is; None where it has no end.

    A datetime is exclusive, so that adjoining windows do not overlap; a date alone includes its day.
    """
    moment = _moment(name, value, zone)
    if isinstance(moment, datetime):
        return moment
    return None if moment == date.max else _midnight(moment + timedelta(days=1), zone)


def read_members(name: str, value: object) -> tuple[Member, ...]:
    """Return what a mapping of keys, or of paths as tuples, to values asks of a document."""
    if not isinstance(value, Mapping):
        raise _refusal(name, value, "a mapping, such as {'project': 'marketing', ('user', 'tier'): 3}")
    return tuple(Member(read_path(name, key), _member_values(name, wanted)) for key, wanted in value.items())


def read_path(name: str, key: object) -> tuple[str | int, ...]:
    """Return the steps of a path into a document: keys, and places in a list from 0."""
    steps = key if isinstance(key, tuple) else (key,)
    if not 0 < len(steps) <= _LONGEST_PATH:
        raise _refusal(name, key, f"a key, or a path of 1 to {_LONGEST_PATH} of them as a tuple")
    return tuple(_step(name, step) for step in steps)


def _step(name: str, step: object) -> str | int:
    if isinstance(step, str):
        return clean_text(str.__str__(step))
    if not isinstance(step, bool) and isinstance(step, numbers.Integral) and 0 <= int(step) < _LARGEST_COUNT:
        return int(step)
    raise _refusal(name, step, "in a path, a key, which is a text, or a place in a list, which is a number from 0 on")


def _member_values(name: str, wanted: object) -> tuple[Scalar, ...]:
    if isinstance(wanted, bytes | bytearray | Mapping):
        raise _refusal(name, wanted, "a text, a number, True, False, None, or several; of a nested one, give the path")
    several = [wanted] if isinstance(wanted, str | UUID) or not isinstance(wanted, Iterable) else wanted
    return tuple(_scalar(name, one) for one in several)


def _scalar(name: str, value: object) -> Scalar:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return clean_text(str.__str__(value))
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, numbers.Integral) and abs(int(value)) < 2**63:
        return int(value)
    return _finite(_number(name, value))


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


def _moment(name: str, value: object, zone: tzinfo) -> datetime | date:
    """Return a date where the value is a date alone, else an aware datetime."""
    try:
        if isinstance(value, str):
            value = _parse_moment(value)
        if isinstance(value, datetime):
            return (value.replace(tzinfo=zone) if value.tzinfo is None else value).astimezone(UTC)
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


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def _refusal(name: str, value: object, allowed: str) -> ValueError:
    return ValueError(f"{name}={value!r} cannot be right. Allowed: {allowed}.")
