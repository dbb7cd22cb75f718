"""
Buckets of time in a zone: the number of each in SQL, from whole-number arithmetic alone, and when it begins.

Databases disagree about zones, weeks and months, and MariaDB knows no zone unless its tables are loaded. So the
changes of the zone's clocks are found here and bound into one CASE, and the rest is division.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from aicore_sqllog.querying.filters import nearest
from aicore_sqllog.querying.time_zones import Offset, offsets
from aicore_sqllog.storage.expressions import unix_seconds, whole_division

__all__ = ["EVERY", "LARGEST_NUMBER", "Buckets", "buckets", "checked_every"]

LARGEST_NUMBER = 100_000
"""More buckets than this are refused: nobody reads them, and each is a row."""

_DAY = 24 * 60 * 60
_YEAR_ONE = (date(1970, 1, 1) - date(1, 1, 1)).days * _DAY
"""Seconds from 0001-01-01, a Monday, to 1970: counted from there nothing is negative, and weeks begin at multiples."""

_FROM_MARCH_OF_YEAR_ZERO = 306
"""Days from 0000-03-01 to 0001-01-01: years that begin in March end with the day that some lack."""

_SEGMENT = 2**40
"""Larger than every bucket's number; times the number of the stretch between two changes of the clocks, it is added."""

_HOURS: Mapping[str, int] = {"1m": 60, "5m": 5 * 60, "15m": 15 * 60, "1h": 60 * 60}
"""Lengths in seconds. Such a bucket never reaches over a change of the clocks: an hour that comes twice is two."""

_Number = Callable[[Any], Any]
"""From seconds of a local clock since 0001-01-01 to the bucket's number; of SQL's numbers as of Python's."""


def _month(seconds: Any) -> Any:
    """
    Return the months from March of the year 0 to the month of *seconds*.

    The arithmetic is that of ``civil_from_days`` in Howard Hinnant's "chrono-Compatible Low-Level Date Algorithms".
    """
    days = _div(seconds, _DAY) + _FROM_MARCH_OF_YEAR_ZERO
    era = _div(days, 146_097)
    of_era = days - era * 146_097
    year = _div(of_era - _div(of_era, 1_460) + _div(of_era, 36_524) - _div(of_era, 146_096), 365)
    of_year = of_era - (365 * year + _div(year, 4) - _div(year, 100))
    return (year + era * 400) * 12 + _div(5 * of_year + 2, 153)


def _div(dividend: Any, divisor: int) -> Any:
    return dividend // divisor if isinstance(dividend, int) else whole_division(dividend, _whole(divisor))


_CALENDAR: Mapping[str, _Number] = {
    "6h": lambda seconds: _div(seconds, 6 * 60 * 60),
    "1d": lambda seconds: _div(seconds, _DAY),
    "1w": lambda seconds: _div(seconds, 7 * _DAY),
    "1mo": _month,
}
"""Buckets of the local calendar: a day has 23, 24 or 25 hours."""

EVERY = (*_HOURS, *_CALENDAR)
"""How long buckets may be."""

_SHORTEST = {**_HOURS, "6h": 5 * 60 * 60, "1d": 23 * 60 * 60, "1w": 6 * _DAY, "1mo": 27 * _DAY}


@dataclass(frozen=True, slots=True)
class Buckets:
    """The buckets of a period, by their numbers."""

    starts: Mapping[int, datetime]
    """When each begins, in UTC; in order."""
    number: Callable[[sa.ColumnElement[Any]], sa.ColumnElement[int]]
    """The number of the bucket of an instant, in SQL."""


def checked_every(every: object) -> str:
    """Return *every*; a ValueError names those that there are."""
    if isinstance(every, str) and every in EVERY:
        return every
    raise ValueError(
        f"every={every!r}: there are no such buckets.{nearest(str(every), EVERY)} Allowed: {', '.join(EVERY)}."
    )


def buckets(every: str, zone: ZoneInfo, first: datetime, last: datetime) -> Buckets:
    """
    Return the buckets from that of *first* to that of *last*, both in UTC.

    Raises:
        ValueError: If they are more than :data:`LARGEST_NUMBER`.
    """
    first = first.replace(microsecond=0)
    if (last - first).total_seconds() / _SHORTEST[every] > LARGEST_NUMBER:
        raise ValueError(
            f"every={every!r} from {first:%Y-%m-%d} to {last:%Y-%m-%d} would be over {LARGEST_NUMBER:,} buckets. "
            "Give a shorter period with start_date and end_date, or longer buckets."
        )
    clocks = offsets(zone, first, last)
    if every in _HOURS:
        length = _HOURS[every]
        return Buckets(dict(_hours(length, clocks, last)), lambda column: _segment_number(column, length, clocks))
    number = _CALENDAR[every]
    starts = dict(_in_order(_calendar(number, zone, first, last)))
    return Buckets(starts, lambda column: number(_local(unix_seconds(column), clocks)))


def _hours(length: int, clocks: Sequence[Offset], last: datetime) -> Iterator[tuple[int, datetime]]:
    ends = [start - timedelta(seconds=1) for start, _ in clocks[1:]] + [last]
    for segment, ((start, offset), end) in enumerate(zip(clocks, ends, strict=True)):
        shift = _YEAR_ONE + int(offset.total_seconds())
        for number in range((_unix(start) + shift) // length, (_unix(end) + shift) // length + 1):
            begins = _EPOCH + timedelta(seconds=number * length - shift)
            yield segment * _SEGMENT + number, max(begins, start) if segment else begins


def _segment_number(column: sa.ColumnElement[Any], length: int, clocks: Sequence[Offset]) -> sa.ColumnElement[int]:
    seconds = unix_seconds(column)
    segment = _by_clock(seconds, clocks, [number * _SEGMENT for number in range(len(clocks))])
    numbered: sa.ColumnElement[int] = segment + _div(_local(seconds, clocks), length)
    return numbered


def _local(seconds: sa.ColumnElement[int], clocks: Sequence[Offset]) -> sa.ColumnElement[int]:
    shifts = [_YEAR_ONE + int(offset.total_seconds()) for _, offset in clocks]
    return seconds + _by_clock(seconds, clocks, shifts)


def _by_clock(seconds: sa.ColumnElement[int], clocks: Sequence[Offset], values: Sequence[int]) -> sa.ColumnElement[int]:
    """Return that of *values* whose clock is in force at *seconds*."""
    changes = [
        (seconds < _whole(_unix(start)), _whole(value))
        for (start, _), value in zip(clocks[1:], values[:-1], strict=True)
    ]
    return sa.case(*changes, else_=_whole(values[-1])) if changes else _whole(values[0])


def _whole(number: int) -> sa.ColumnElement[int]:
    return sa.literal(number, sa.BigInteger())


def _calendar(number: _Number, zone: ZoneInfo, first: datetime, last: datetime) -> Iterator[tuple[int, datetime]]:
    """Yield every bucket's number and start; one that the clocks skip begins when the next does."""
    day, end = first.astimezone(zone).date(), last.astimezone(zone).date()
    found: dict[int, datetime] = {}
    for local in _quarters(_first_of_month(day) if number is _month else day - timedelta(days=day.weekday()), end):
        found.setdefault(number(_seconds(local)), local)
    low, high = number(_seconds(first.astimezone(zone))), number(_seconds(last.astimezone(zone)))
    for key, local in found.items():
        if low <= key <= high:
            yield key, local.replace(tzinfo=zone).astimezone(UTC)


def _quarters(first: date, last: date) -> Iterator[datetime]:
    """Yield the local times at which a bucket may begin, day by day."""
    for ordinal in range(first.toordinal(), last.toordinal() + 1):
        day = date.fromordinal(ordinal)
        for hour in (0, 6, 12, 18):
            yield datetime(day.year, day.month, day.day, hour)  # noqa: DTZ001  # the time that a clock shows


def _first_of_month(day: date) -> date:
    return day.replace(day=1)


def _in_order(found: Iterable[tuple[int, datetime]]) -> Iterator[tuple[int, datetime]]:
    """Leave out a bucket of no length, such as a day that a zone has skipped."""
    held = list(found)
    for (number, start), (_, following) in pairwise([*held, (0, datetime.max.replace(tzinfo=UTC))]):
        if start < following:
            yield number, start


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _unix(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(seconds=1)


def _seconds(local: datetime) -> int:
    """Return the seconds from 0001-01-01 to what a clock shows."""
    return (local.toordinal() - 1) * _DAY + local.hour * 3600 + local.minute * 60 + local.second
