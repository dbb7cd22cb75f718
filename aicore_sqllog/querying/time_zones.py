"""
Time zones by their names, and when the clocks of one change.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from aicore_sqllog.querying.filters import nearest

__all__ = ["LONGEST_YEARS", "Offset", "offsets", "zone_named"]

LONGEST_YEARS = 400
"""How long a period may be whose changes of clocks are looked for: after so long the calendar repeats itself."""

_STEP = timedelta(days=1)
"""No zone has changed its clocks to and fro within a day."""

Offset = tuple[datetime, timedelta]
"""A moment in UTC, and how far clocks are ahead of UTC from then on."""


def zone_named(name: object) -> ZoneInfo:
    """
    Return the time zone of that name.

    Raises:
        ValueError: If there is none; the nearest is named.
    """
    if isinstance(name, ZoneInfo) and name.key is not None:
        return name
    if isinstance(name, str) and name in _names():
        return ZoneInfo(name)
    raise ValueError(
        f"tz={name!r} is no time zone that is known here.{nearest(str(name), _names())} Allowed: a name of the IANA's "
        "database, such as 'Europe/Berlin'; where none but UTC is known, install the package tzdata."
    )


@cache
def _names() -> frozenset[str]:
    return frozenset(available_timezones() | {"UTC"})


def offsets(zone: ZoneInfo, first: datetime, last: datetime) -> list[Offset]:
    """
    Return the offset at *first*, a whole second, and each that comes into force after it until *last*, in order.

    Raises:
        ValueError: If the period is longer than :data:`LONGEST_YEARS`.
    """
    if zone.key == "UTC":
        return [(first, timedelta(0))]
    if last.year - first.year > LONGEST_YEARS:
        raise ValueError(
            f"There are calls from {first.year} to {last.year}, and the clocks of {zone.key} are not followed over "
            f"more than {LONGEST_YEARS} years: give start_date and end_date, or tz='UTC'."
        )
    return [(first, _offset(zone, first)), *_changes(zone, first, last)]


def _changes(zone: ZoneInfo, first: datetime, last: datetime) -> Iterator[Offset]:
    before = first
    while before < last:
        after = before + min(_STEP, last - before)
        if _offset(zone, before) != _offset(zone, after):
            change = _moment_of_change(zone, before, after)
            yield change, _offset(zone, change)
        before = after


def _moment_of_change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """Return the first whole second after *before* at which the offset of *after* is in force."""
    new = _offset(zone, after)
    low, high = 0, int((after - before).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _offset(zone, before + timedelta(seconds=middle)) == new else (middle, high)
    return before + timedelta(seconds=high)


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)
