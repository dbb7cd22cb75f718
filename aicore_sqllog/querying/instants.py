"""
Instants as databases give them into a column of a frame. None of them makes the frame fail.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl

__all__ = ["INSTANT", "instants"]

INSTANT = pl.Datetime("us", "UTC")

_WRITTEN_BY_US = "%Y-%m-%d %H:%M:%S.%6f"


def instants(name: str, values: Sequence[Any]) -> pl.Series:
    """
    Return the column of *values*: microseconds since 1970, SQLite's texts, or datetimes, where a naive one is UTC.

    What is no instant at all, which another program may have written, is null.
    """
    first = next((value for value in values if value is not None), None)
    try:
        return _READERS[type(first)](name, values)
    except (KeyError, TypeError, pl.exceptions.PolarsError):  # not all of one kind, or not as we write them
        return _utc(name, [_one(value) for value in values])


def _from_microseconds(name: str, values: Sequence[Any]) -> pl.Series:
    return pl.Series(name, values, dtype=pl.Int64).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def _from_texts(name: str, values: Sequence[Any]) -> pl.Series:
    texts = pl.Series(name, values, dtype=pl.String)
    # Polars parses this format by itself, and others, such as one with %.6f, in four times the time.
    return texts.str.to_datetime(_WRITTEN_BY_US, time_unit="us", cache=False).dt.replace_time_zone("UTC")


def _from_datetimes(name: str, values: Sequence[Any]) -> pl.Series:
    return _utc(name, [None if value is None else _naive_utc(value) for value in values])


def _from_nothing(name: str, values: Sequence[Any]) -> pl.Series:
    return _utc(name, [None] * len(values))


_READERS: Mapping[type, Callable[[str, Sequence[Any]], pl.Series]] = {
    int: _from_microseconds,
    str: _from_texts,
    datetime: _from_datetimes,
    type(None): _from_nothing,
}
"""By the type of the first value; one reader for a whole column costs a fraction of a Python object for each value."""


def _one(value: Any) -> datetime | None:
    try:
        return _naive_utc(datetime.fromisoformat(value) if isinstance(value, str) else value)
    except (AttributeError, TypeError, ValueError, OverflowError):
        return None


def _naive_utc(value: datetime) -> datetime:
    return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)


def _utc(name: str, values: Sequence[datetime | None]) -> pl.Series:
    return pl.Series(name, values, dtype=pl.Datetime("us")).dt.replace_time_zone("UTC")
