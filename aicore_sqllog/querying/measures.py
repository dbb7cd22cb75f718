"""
The measures of a group of calls: what of each the database adds up, and how Polars finishes it.

Sums and counts are the database's work; divisions are done here, because databases divide integers each in its own way.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import sqlalchemy as sa

from aicore_sqllog.querying.columns import OPERATIONS
from aicore_sqllog.querying.filters import nearest
from aicore_sqllog.storage.expressions import plain_instant

__all__ = ["MEASURES", "PERCENTILES", "SUMS", "Measure", "Percentiles", "checked_measures"]

_O = OPERATIONS.c
_FAILED = "error"
"""The status of a call that failed."""


def _total(expression: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    # Of 32-bit integers, SQL Server's and others' sum has 32 bits; MariaDB's is a decimal.
    return sa.cast(sa.func.sum(expression), sa.BigInteger)


def _count_where(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.count(sa.case((condition, 1)))


_KNOWN_TOKENS = sa.or_(_O.input_tokens.is_not(None), _O.output_tokens.is_not(None))
_ALL_TOKENS = sa.func.coalesce(sa.cast(_O.input_tokens, sa.BigInteger), 0) + sa.func.coalesce(_O.output_tokens, 0)
_HAS_SPEED = sa.and_(_O.output_tokens.is_not(None), _O.latency_ms > 0)

SUMS: Mapping[str, sa.ColumnElement[Any]] = {
    "calls": sa.func.count(),
    "error_calls": _count_where(_O.status == _FAILED),
    "input_tokens": _total(_O.input_tokens),
    "output_tokens": _total(_O.output_tokens),
    "total_tokens": _total(sa.case((_KNOWN_TOKENS, _ALL_TOKENS))),
    "cache_read_tokens": _total(_O.cache_read_tokens),
    "cache_write_tokens": _total(_O.cache_write_tokens),
    "reasoning_tokens": _total(_O.reasoning_tokens),
    "cost": sa.func.sum(_O.cost),
    "priced_calls": sa.func.count(_O.cost),
    "timed_calls": sa.func.count(_O.latency_ms),
    "latency_ms": _total(_O.latency_ms),
    "latency_ms_max": sa.func.max(_O.latency_ms),
    "tokens_with_speed": _total(sa.case((_HAS_SPEED, _O.output_tokens))),
    "latency_ms_with_speed": _total(sa.case((_HAS_SPEED, _O.latency_ms))),
    "first_timestamp": plain_instant(sa.func.min(_O.timestamp)),
    "last_timestamp": plain_instant(sa.func.max(_O.timestamp)),
}
"""What the database adds up for each group; an unknown number, NULL, is in no sum."""


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Percentiles of one column, by nearest rank: of N values in order, number ``ceil(fraction * N)`` from 1."""

    column: sa.Column[Any]
    measures: Mapping[str, float]
    """The fraction of each measure."""


PERCENTILES: Mapping[str, Percentiles] = {
    "latency_ms": Percentiles(
        _O.latency_ms,
        {"latency_ms_p50": 0.5, "latency_ms_p90": 0.9, "latency_ms_p95": 0.95, "latency_ms_p99": 0.99},
    ),
    "time_to_first_token_ms": Percentiles(_O.time_to_first_token_ms, {"time_to_first_token_ms_p50": 0.5}),
}


@dataclass(frozen=True, slots=True)
class Measure:
    """One column of a summary."""

    description: str
    expression: pl.Expr
    sums: Sequence[str] = ()
    """Those of :data:`SUMS` that it is made of."""
    percentile_of: str = ""
    """That of :data:`PERCENTILES` that gives it."""


def _sum(name: str, description: str) -> Measure:
    return Measure(description, pl.col(name), (name,))


def _ratio(description: str, above: str, below: str, factor: float = 1.0) -> Measure:
    ratio = pl.col(above).cast(pl.Float64) * factor / pl.col(below)
    return Measure(description, pl.when(pl.col(below) > 0).then(ratio), (above, below))


def _percentile(of: str, name: str, description: str) -> Measure:
    return Measure(description, pl.col(name), percentile_of=of)


MEASURES: Mapping[str, Measure] = {
    "calls": _sum("calls", "Calls."),
    "error_calls": _sum("error_calls", "Calls whose status is `error`."),
    "error_rate": _ratio("`error_calls / calls`.", "error_calls", "calls"),
    "input_tokens": _sum("input_tokens", "Tokens read, cached ones included."),
    "output_tokens": _sum("output_tokens", "Tokens written, reasoning included."),
    "total_tokens": _sum("total_tokens", "Both; of a call that says one of them alone, that one."),
    "cache_read_tokens": _sum("cache_read_tokens", "Of the tokens read: those from a cache."),
    "cache_write_tokens": _sum("cache_write_tokens", "Of the tokens read: those written to a cache."),
    "reasoning_tokens": _sum("reasoning_tokens", "Of the tokens written: those of reasoning."),
    "cost": _sum("cost", "What the calls cost whose cost is known."),
    "cost_per_call": _ratio("The same, for each call whose cost is known.", "cost", "priced_calls"),
    "unpriced_calls": Measure(
        "Calls whose cost is not known.", pl.col("calls") - pl.col("priced_calls"), ("calls", "priced_calls")
    ),
    "latency_ms_mean": _ratio("Of the calls whose latency is known: the mean.", "latency_ms", "timed_calls"),
    "latency_ms_p50": _percentile("latency_ms", "latency_ms_p50", "The median, by nearest rank."),
    "latency_ms_p90": _percentile("latency_ms", "latency_ms_p90", "Nine of ten calls take so long at most."),
    "latency_ms_p95": _percentile("latency_ms", "latency_ms_p95", "19 of 20 do."),
    "latency_ms_p99": _percentile("latency_ms", "latency_ms_p99", "99 of 100 do."),
    "latency_ms_max": _sum("latency_ms_max", "The longest."),
    "time_to_first_token_ms_p50": _percentile(
        "time_to_first_token_ms", "time_to_first_token_ms_p50", "The median time until the first token came."
    ),
    "output_tokens_per_second": _ratio(
        "Tokens written a second of latency, of the calls that say both.",
        "tokens_with_speed",
        "latency_ms_with_speed",
        1000.0,
    ),
    "first_timestamp": _sum("first_timestamp", "When the first call was."),
    "last_timestamp": _sum("last_timestamp", "When the last call was."),
}
"""The columns of a summary, in order, after those that it is grouped by."""


def checked_measures(wanted: Iterable[str] | None) -> list[str]:
    """
    Return the names of the measures that were asked for; all where none is named.

    Raises:
        ValueError: If there is no such measure; the nearest is named.
    """
    if wanted is None:
        return list(MEASURES)
    names = [wanted] if isinstance(wanted, str) else list(dict.fromkeys(wanted))
    for name in names:
        if name not in MEASURES:
            raise ValueError(f"measures: there is no measure {name!r}.{nearest(str(name), MEASURES)}")
    return names
