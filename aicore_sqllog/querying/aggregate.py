"""
Groups of calls with their measures: what the database adds up, finished in Polars.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import sqlalchemy as sa

from aicore_sqllog.querying.conditions import matching
from aicore_sqllog.querying.execute import PartsOf, Question, Rows
from aicore_sqllog.querying.filters import LogFilter
from aicore_sqllog.querying.groups import GroupKey
from aicore_sqllog.querying.histogram import Histogram
from aicore_sqllog.querying.instants import INSTANT, instants
from aicore_sqllog.querying.measures import MEASURES, PERCENTILES, SUMS, Percentiles
from aicore_sqllog.record.columns import ColumnKind
from aicore_sqllog.storage.dialects.generic import GenericDialect

__all__ = ["Aggregation", "aggregate", "empty"]

_SUM_TYPES: Mapping[str, Any] = {"cost": pl.Float64(), "first_timestamp": INSTANT, "last_timestamp": INSTANT}
"""The others are counts."""


@dataclass(frozen=True, slots=True)
class Aggregation:
    """What is asked for: of which calls, grouped by what, which measures."""

    log_filter: LogFilter
    keys: Sequence[GroupKey]
    measures: Sequence[str]
    key_types: Mapping[str, Any] = field(default_factory=dict)
    """The frame's types of those keys that are no text."""

    @property
    def schema(self) -> dict[str, Any]:
        """Return the types of the keys, in order."""
        return {key.name: self.key_types.get(key.name, pl.String()) for key in self.keys}

    @property
    def sums(self) -> list[str]:
        """Return which sums the measures are made of."""
        return list(dict.fromkeys(name for measure in self.measures for name in MEASURES[measure].sums))

    @property
    def percentiles(self) -> list[Percentiles]:
        """Return which percentiles are among the measures."""
        wanted = dict.fromkeys(MEASURES[measure].percentile_of for measure in self.measures)
        return [PERCENTILES[name] for name in wanted if name]


def aggregate(asked: Aggregation, dialect: GenericDialect) -> Question[pl.DataFrame]:
    """
    Ask for a row for each group: its keys, then what its measures are made of; see :func:`finished`.

    Where *dialect* has no percentiles of its own, their values come in parts, and are counted as they come: to sort
    them by value takes SQLite and MariaDB longer than to hand them over.
    """
    own = {p.column.name: dialect.percentiles(p.column, list(p.measures.values())) for p in asked.percentiles}
    lists = [column for column in own.values() if column is not None]
    rows = yield _grouped(asked, [*(SUMS[name] for name in asked.sums), *lists] or [sa.func.count()])
    frame = pl.DataFrame([*_key_series(rows, asked), *_sum_series(rows, asked)])
    counted = [Histogram(asked.schema, p) for p in asked.percentiles if own[p.column.name] is None]
    if counted:
        yield _values_of(asked, counted)
    place = len(asked.keys) + len(asked.sums)
    for percentiles in asked.percentiles:
        if own[percentiles.column.name] is not None:
            frame = frame.with_columns(_percentile_series([row[place] for row in rows], percentiles))
            place += 1
    for histogram in counted:
        frame = _joined(frame, asked, histogram.percentiles())
    return frame


def empty(asked: Aggregation) -> pl.DataFrame:
    """Return the frame that :func:`aggregate` gives where there is no group."""
    percentiles = [series for one in asked.percentiles for series in _percentile_series([], one)]
    return pl.DataFrame([*_key_series([], asked), *_sum_series([], asked), *percentiles])


def _grouped(asked: Aggregation, columns: Sequence[sa.ColumnElement[Any]]) -> sa.Select[Any]:
    labels = [f"group_{number}" for number in range(len(asked.keys))]
    keys = [key.expression.label(label) for key, label in zip(asked.keys, labels, strict=True)]
    select = matching(sa.select(*keys, *columns), asked.log_filter)
    return select.group_by(*map(sa.literal_column, labels)) if labels else select


def _values_of(asked: Aggregation, counted: Sequence[Histogram]) -> PartsOf:
    """Ask for the keys and the values of every call that has one."""
    columns = [histogram.of.column for histogram in counted]
    keys = [key.expression.label(key.name) for key in asked.keys]
    select = matching(sa.select(*keys, *columns), asked.log_filter)
    known = sa.or_(*(column.is_not(None) for column in columns))
    kinds = {
        name: ColumnKind.NAME if dtype == pl.String() else ColumnKind.COUNT for name, dtype in asked.schema.items()
    }

    def start() -> None:
        for histogram in counted:
            histogram.start()

    def add(part: pl.DataFrame) -> None:
        for histogram in counted:
            histogram.add(part)

    return PartsOf(select.where(known), {**kinds, **{c.name: ColumnKind.COUNT for c in columns}}, start, add)


def _key_series(rows: Rows, asked: Aggregation) -> list[pl.Series]:
    return [
        pl.Series(name, [row[place] for row in rows], dtype=dtype)
        for place, (name, dtype) in enumerate(asked.schema.items())
    ]


def _sum_series(rows: Rows, asked: Aggregation) -> list[pl.Series]:
    series = []
    for place, name in enumerate(asked.sums, start=len(asked.keys)):
        dtype, values = _SUM_TYPES.get(name, pl.Int64()), [row[place] for row in rows]
        series.append(instants(name, values) if dtype == INSTANT else pl.Series(name, values, dtype=dtype))
    return series


def _percentile_series(found: Sequence[Sequence[int] | None], percentiles: Percentiles) -> list[pl.Series]:
    return [
        pl.Series(name, [None if values is None else values[place] for values in found], dtype=pl.Int64)
        for place, name in enumerate(percentiles.measures)
    ]


def _joined(frame: pl.DataFrame, asked: Aggregation, percentiles: pl.DataFrame) -> pl.DataFrame:
    if asked.keys:
        return frame.join(percentiles, on=list(asked.schema), how="left", nulls_equal=True)
    unknown = [pl.Series(name, [None], dtype=dtype) for name, dtype in percentiles.schema.items()]
    return frame.with_columns(percentiles if percentiles.height else unknown)
