"""
How often each value comes in each group, counted part by part, and the percentiles that follow.
"""

from collections.abc import Mapping

import polars as pl

from aicore_sqllog.querying.measures import Percentiles

__all__ = ["Histogram"]

_MANY = 500_000
"""Rows that wait to be added up."""


class Histogram:
    """
    The values of one column by group: as large as there are different ones, however many rows come.

    Args:
        keys: The columns of a part that make a group, and their types.

        of: The column whose values are counted, and the percentiles that are wanted.
    """

    def __init__(self, keys: Mapping[str, pl.DataType], of: Percentiles) -> None:
        self.of = of
        self._types = keys
        self._keys = list(keys)
        self.start()

    def start(self) -> None:
        """Forget what was counted."""
        self._counts: list[pl.DataFrame] = []

    def add(self, part: pl.DataFrame) -> None:
        """Count the values of *part*."""
        values = part.select(*self._keys, pl.col(self.of.column.name).alias("value")).drop_nulls("value")
        self._counts.append(values.group_by(*self._keys, "value").agg(pl.len().cast(pl.Int64).alias("times")))
        if len(self._counts) > 1 and sum(counts.height for counts in self._counts) > _MANY:
            self._counts = [self._added_up()]

    def percentiles(self) -> pl.DataFrame:
        """Return a row for each group that has a value; without keys, one for all, or none."""
        if not self._counts:
            return pl.DataFrame(schema={**self._types, **dict.fromkeys(self.of.measures, pl.Int64())})
        counts = self._added_up().sort("value")
        wanted = [
            # Of a list in order, the first value whose place from 1 is at least fraction * N.
            pl.col("value").get((pl.col("times").cum_sum() >= (pl.col("times").sum() * fraction).ceil()).arg_max())
            for fraction in self.of.measures.values()
        ]
        named = [value.alias(name) for value, name in zip(wanted, self.of.measures, strict=True)]
        if self._keys:
            return counts.group_by(self._keys).agg(named)
        return counts.select(named) if counts.height else counts.select(named).clear()

    def _added_up(self) -> pl.DataFrame:
        return pl.concat(self._counts).group_by(*self._keys, "value").agg(pl.sum("times"))
