"""
The question how much, how many, how slow: a row for each group of calls.
"""

from collections.abc import Sequence
from typing import Unpack

import polars as pl

from aicore_sqllog.querying.aggregate import Aggregation, aggregate
from aicore_sqllog.querying.execute import Question
from aicore_sqllog.querying.filters import Filters, LogFilter
from aicore_sqllog.querying.groups import By, group_keys
from aicore_sqllog.querying.measures import MEASURES, checked_measures
from aicore_sqllog.storage.dialects.generic import GenericDialect

__all__ = ["SummaryArguments", "summary"]


class SummaryArguments(Filters, total=False):
    """The named arguments of :func:`summary`, for those who hand them on; a test holds the two equal."""

    measures: Sequence[str] | None


def summary(
    dialect: GenericDialect,
    /,
    by: By = None,
    *,
    measures: Sequence[str] | None = None,
    **filters: Unpack[Filters],
) -> Question[pl.DataFrame]:
    """Ask for a row for each group; what the arguments mean is said at ``LogReader.summary``."""
    names = checked_measures(measures)
    log_filter = LogFilter.of(filters, known_beside=[*SummaryArguments.__annotations__, *["by"]])
    asked = Aggregation(log_filter, group_keys(by), names)
    frame = yield from aggregate(asked, dialect)
    found = frame.select(*asked.schema, *(MEASURES[name].expression.alias(name) for name in names))
    return found.sort(list(asked.schema), nulls_last=True) if asked.keys else found
