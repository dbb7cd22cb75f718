"""
The question how it went: a row for each bucket of time, and each group of calls in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Unpack
from zoneinfo import ZoneInfo

import polars as pl
import sqlalchemy as sa

from aicore_sqllog.querying.aggregate import Aggregation, aggregate, empty
from aicore_sqllog.querying.buckets import buckets, checked_every
from aicore_sqllog.querying.columns import OPERATIONS
from aicore_sqllog.querying.conditions import matching
from aicore_sqllog.querying.execute import Question
from aicore_sqllog.querying.filter_values import read_end, read_start
from aicore_sqllog.querying.filters import Condition, Filters, LogFilter
from aicore_sqllog.querying.groups import By, GroupKey, group_keys
from aicore_sqllog.querying.instants import INSTANT, instants
from aicore_sqllog.querying.measures import MEASURES, checked_measures
from aicore_sqllog.querying.time_zones import zone_named
from aicore_sqllog.storage.dialects.generic import GenericDialect
from aicore_sqllog.storage.expressions import plain_instant

__all__ = ["TimeseriesArguments", "timeseries"]

_BUCKET = "bucket"
_LARGEST_FRAME = 1_000_000
_COUNTED = ("calls", "error_calls", "priced_calls", "timed_calls")
"""Sums that are 0, and not unknown, where there is no call."""


class TimeseriesArguments(Filters, total=False):
    """The named arguments of :func:`timeseries`, for those who hand them on; a test holds the two equal."""

    tz: str | ZoneInfo
    measures: Sequence[str] | None


def timeseries(
    dialect: GenericDialect,
    /,
    every: str = "1d",
    by: By = None,
    *,
    tz: str | ZoneInfo = "UTC",
    measures: Sequence[str] | None = None,
    **filters: Unpack[Filters],
) -> Question[pl.DataFrame]:
    """Ask for a row for each bucket and group; what the arguments mean is said at ``LogReader.timeseries``."""
    names, keys, zone = checked_measures(measures), group_keys(by), zone_named(tz)
    checked_every(every)
    log_filter = LogFilter.of(
        _in_zone(filters, zone), known_beside=[*TimeseriesArguments.__annotations__, *["every", "by"]]
    )
    first, last = _period(log_filter)
    if first is None or last is None:
        rows = yield matching(sa.select(*map(plain_instant, _ENDS)), log_filter)
        earliest, latest = instants(_BUCKET, rows[0])
        first, last = first or earliest, last or latest
    if first is None or last is None or last < first:
        nothing = Aggregation(log_filter, [GroupKey(_BUCKET, sa.null()), *keys], names, {_BUCKET: pl.Int64()})
        return _frame(empty(nothing), {}, zone, keys, names)
    found = buckets(every, zone, first, last)
    # What is logged between the two questions may lie outside the buckets.
    within = replace(log_filter, conditions=(*log_filter.conditions, *_within(first, last)))
    bucket = GroupKey(_BUCKET, found.number(OPERATIONS.c.timestamp))
    sums = yield from aggregate(Aggregation(within, [bucket, *keys], names, {_BUCKET: pl.Int64()}), dialect)
    return _frame(sums, found.starts, zone, keys, names)


_ENDS = (sa.func.min(OPERATIONS.c.timestamp), sa.func.max(OPERATIONS.c.timestamp))


def _in_zone(filters: Filters, zone: ZoneInfo) -> Filters:
    """Return *filters* whose dates, and times without a zone, are those of *zone*."""
    start, end = filters.get("start_date"), filters.get("end_date")
    return {
        **filters,
        "start_date": None if start is None else read_start("start_date", start, zone),
        "end_date": None if end is None else read_end("end_date", end, zone),
    }


def _period(log_filter: LogFilter) -> tuple[datetime | None, datetime | None]:
    """Return the first and the last moment that the filters allow."""
    found = {c.comparison: c.value for c in log_filter.conditions if c.column == OPERATIONS.c.timestamp.name}
    end = found.get("before")
    return found.get("at_least"), None if end is None else end - timedelta.resolution


def _within(first: datetime, last: datetime) -> list[Condition]:
    name = OPERATIONS.c.timestamp.name
    conditions = [Condition(name, "at_least", first)]
    if last < datetime.max.replace(tzinfo=UTC):
        conditions.append(Condition(name, "before", last + timedelta.resolution))
    return conditions


def _frame(
    sums: pl.DataFrame,
    starts: Mapping[int, datetime],
    zone: ZoneInfo,
    keys: Sequence[GroupKey],
    measures: Sequence[str],
) -> pl.DataFrame:
    """Return a row for each bucket and each group that has a call in any."""
    names = [key.name for key in keys]
    begins = pl.Series("begins", list(starts.values()), dtype=INSTANT).dt.convert_time_zone(zone.key)
    rows = pl.DataFrame([pl.Series(_BUCKET, list(starts), dtype=pl.Int64), begins])
    if names:
        groups = sums.select(names).unique().sort(names, nulls_last=True)
        if rows.height * groups.height > _LARGEST_FRAME:
            raise ValueError(
                f"{rows.height:,} buckets of {groups.height:,} groups would be over {_LARGEST_FRAME:,} rows. "
                "Give a shorter period, longer buckets, or fewer columns in by."
            )
        rows = rows.join(groups, how="cross")
    found = rows.join(sums, on=[_BUCKET, *names], how="left", nulls_equal=True, maintain_order="left")
    counted = found.with_columns(pl.col(name).fill_null(0) for name in _COUNTED if name in found.columns)
    finished = (MEASURES[name].expression.alias(name) for name in measures)
    return counted.select(pl.col("begins").alias(_BUCKET), *names, *finished)
