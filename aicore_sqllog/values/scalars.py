"""
Single values: told by what they are, whatever their class; as values and as keys of a mapping alike.
"""

import base64
import math
import numbers
import reprlib
from collections import UserString
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from aicore_sqllog.values.text import clean_text

__all__ = ["LEAVES", "as_leaf", "class_name", "describe", "key_text", "plain_leaf"]

LEAVES = frozenset({str, int, float, bool, type(None), bytes, complex, datetime, date, time, timedelta, UUID, Decimal})
"""The classes of single values that can no longer change and belong to nobody else."""

_MAX_REPR = 10_000
_MAX_INTEGER_BITS = 63


def as_leaf(value: Any) -> object:
    """
    Return *value* as one of the classes of :data:`LEAVES`.

    A number, a text, a date or an id of any class is one; so is a member of an enumeration, as its value.

    Raises:
        TypeError: If *value* is no single value.
    """
    if isinstance(value, Enum):
        return value.value if type(value.value) in LEAVES else as_leaf(value.value)
    for kinds, convert in _CONVERSIONS:
        if isinstance(value, kinds):
            return convert(value)
    kind = type(value)
    if hasattr(kind, "urn") and isinstance(number := getattr(value, "int", None), int):  # a UUID of another library
        return UUID(int=number)
    if hasattr(kind, "isoformat"):
        return _date_of_text(value.isoformat())
    for name in _TO_DATETIME:
        if hasattr(kind, name):
            return as_leaf(getattr(value, name)())
    if getattr(value, "shape", None) == () and hasattr(kind, "tolist"):  # a number of NumPy's, alone
        return _as_builtin_number(value)
    raise TypeError(f"{kind.__qualname__} is no single value")


def key_text(key: object) -> str:
    """Return the text of a mapping's key: a key is read as a value is."""
    if type(key) is str:
        return clean_text(key)
    try:
        leaf = plain_leaf(key if type(key) in LEAVES else as_leaf(key))
    except Exception:
        return clean_text(describe(key))
    if leaf is None or isinstance(leaf, bool):
        return {None: "null", True: "true", False: "false"}[leaf]
    return str(leaf)


def plain_leaf(value: Any) -> object:
    """Return a value of one of the classes of :data:`LEAVES` as what JSON knows."""
    kind = type(value)
    if kind is str:
        return clean_text(value)
    if kind is int:
        return value if value.bit_length() <= _MAX_INTEGER_BITS else _integer_text(value)
    if kind is float:
        return value if math.isfinite(value) else _NON_FINITE.get(value, "NaN")
    if value is None or kind is bool:
        return value
    if kind is bytes:
        return _bytes_text(value)
    return str(value.isoformat()) if hasattr(kind, "isoformat") else clean_text(str(value))


def describe(value: object) -> str:
    """Return ``repr(value)``, cut, or what can be said of an object whose ``repr`` raises."""
    try:
        # Of builtins that hold one another, repr would write out each path to each value.
        text = _REPR.repr(value) if isinstance(value, dict | list | tuple | set | frozenset) else repr(value)
    except Exception as exc:
        return f"<{type(value).__qualname__}: its repr raised {type(exc).__qualname__}>"
    return text if len(text) <= _MAX_REPR else text[:_MAX_REPR] + "…"


def class_name(value: object) -> str:
    """Return the class of what cannot be read; its ``repr`` might hold a key, or raise."""
    return f"<{type(value).__module__}.{type(value).__qualname__}>"


_NON_FINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}

_REPR = reprlib.Repr()
_REPR.maxlevel = 3
_REPR.maxdict = _REPR.maxlist = _REPR.maxtuple = _REPR.maxset = _REPR.maxfrozenset = 20
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 1_000


def _integer_text(value: int) -> str:
    """Return the digits of *value*, in hexadecimal where Python refuses to write so many decimal ones."""
    try:
        return str(value)
    except ValueError:
        return hex(value)


def _bytes_text(value: bytes) -> str:
    try:
        return clean_text(value.decode())
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(value).decode()


def _date_of_text(text: object) -> object:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return str(text)


def _as_date(value: date) -> object:
    return date(value.year, value.month, value.day)


def _as_datetime(value: datetime) -> object:
    parts = (value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond)
    try:
        return datetime(*parts, tzinfo=value.tzinfo, fold=value.fold)
    except (TypeError, ValueError):  # pandas' NaT is a datetime, too
        return str(value)


def _as_timedelta(value: timedelta) -> object:
    return timedelta(days=value.days, seconds=value.seconds, microseconds=value.microseconds)


def _as_float(value: Any) -> object:
    try:
        return float(value)
    except (OverflowError, ValueError):
        return str(value)


def _as_builtin_number(value: Any) -> object:
    is_time = getattr(getattr(value, "dtype", None), "kind", None) in (
        "m",
        "M",
    )  # in nanoseconds they would be a number
    found = str(value) if is_time else value.tolist()
    return found if type(found) in LEAVES else str(value)


_TO_DATETIME = ("to_stdlib", "py_datetime", "to_pydatetime")
"""How libraries of dates call the way to the standard library's (whenever, and others)."""

_CONVERSIONS: tuple[tuple[Any, Callable[[Any], object]], ...] = (
    (str, lambda value: str.__str__(value)),
    (bool, bool),
    (int, lambda value: int.__int__(value)),
    (float, lambda value: float.__float__(value)),
    (bytes, lambda value: bytes(memoryview(value))),
    (datetime, _as_datetime),
    (date, _as_date),
    (timedelta, _as_timedelta),
    (UUID, lambda value: UUID(int=value.int)),
    (Decimal, Decimal),
    (complex, complex),
    (numbers.Integral, int),
    (numbers.Real, _as_float),
    (PurePath | UserString, str),
)
