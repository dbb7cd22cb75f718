"""
Operations as a LazyFrame: what of a query can be SQL is asked of the database, the rest is Polars' own.

The one file that uses Polars' interface for sources (``register_io_source``), which is marked unstable there.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Unpack

import polars as pl
from polars.io.plugins import register_io_source

from aicore_sqllog.querying.filters import Filters
from aicore_sqllog.querying.pages import Pages, iterate, pages
from aicore_sqllog.querying.predicates import decidable
from aicore_sqllog.querying.source import Source

__all__ = ["ScanArguments", "scan"]

_BATCH_ROWS = 50_000


class ScanArguments(Filters, total=False):
    """The arguments of :func:`scan`, for those who hand them on; a test holds the two equal."""

    show_sql: Callable[[str], object] | None


def scan(
    source: Source, /, *, show_sql: Callable[[str], object] | None = None, **filters: Unpack[Filters]
) -> pl.LazyFrame:
    """Return the operations that match, unfetched; what the arguments mean is said at ``LogReader.scan_operations``."""
    base = pages(_BATCH_ROWS, **filters)
    schema = base.wanted.empty().schema

    def read(
        columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, batch_rows: int | None
    ) -> Iterator[pl.DataFrame]:
        asked = _narrowed(base, columns, predicate, rows, batch_rows)
        if show_sql is not None:
            show_sql(asked.describe())
        left = sys.maxsize if rows is None else rows
        for frame in iterate(asked, source.connect):
            first = frame.head(left)
            found = first if predicate is None else first.filter(predicate)
            yield found.select(columns or schema.names())
            left -= first.height
            if left <= 0:
                return

    return register_io_source(read, schema=schema)


def _narrowed(
    base: Pages, columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, batch_rows: int | None
) -> Pages:
    compared = [] if predicate is None else predicate.meta.root_names()
    wanted = (
        base.wanted if columns is None else replace(base.wanted, columns=list(dict.fromkeys([*columns, *compared])))
    )
    # Of a query that limits the rows first, the predicate is about those: it must not choose which they are.
    conditions = [] if predicate is None or rows is not None else decidable(predicate)
    log_filter = replace(base.log_filter, where=(*base.log_filter.where, *conditions))
    most = min(batch_rows or _BATCH_ROWS, _BATCH_ROWS)
    return Pages(log_filter, wanted, most if rows is None else max(1, min(rows, most)))
