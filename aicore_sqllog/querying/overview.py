"""
The question what a log holds in all: the rows of each table, their time, and the sums that people ask for first.
"""

from typing import Any, NamedTuple

import sqlalchemy as sa

from aicore_sqllog.querying.execute import Question
from aicore_sqllog.querying.instants import instants
from aicore_sqllog.storage.expressions import plain_instant
from aicore_sqllog.storage.models import LlmOperation, metadata

__all__ = ["Overview", "overview"]


class Overview(NamedTuple):
    """What there is; a sum is None where no row has a value."""

    rows: dict[str, int]
    """By table."""
    first_timestamp: Any
    last_timestamp: Any
    input_tokens: int | None
    output_tokens: int | None
    cost: float | None
    unpriced_calls: int
    """Operations whose cost is not known."""


def overview() -> Question[Overview]:
    """Ask what there is."""
    rows = {}
    for table in metadata.sorted_tables:
        ((rows[table.name],),) = yield sa.select(sa.func.count()).select_from(table)
    totals: list[Any] = list((yield _totals())[0])
    first, last, read, written, cost, priced = totals
    first, last = instants("timestamp", [first, last]).to_list()
    return Overview(
        rows,
        first,
        last,
        None if read is None else int(read),
        None if written is None else int(written),
        None if cost is None else float(cost),
        rows[LlmOperation.__tablename__] - priced,
    )


def _totals() -> sa.Select[Any]:
    timestamp, cost = LlmOperation.timestamp, LlmOperation.cost
    # As large integers: the sum of a column of integers is an error past 2**31 on some databases.
    tokens = (sa.cast(column, sa.BigInteger) for column in (LlmOperation.input_tokens, LlmOperation.output_tokens))
    period = (plain_instant(found(timestamp)) for found in (sa.func.min, sa.func.max))
    return sa.select(*period, *map(sa.func.sum, tokens), sa.func.sum(cost), sa.func.count(cost))
