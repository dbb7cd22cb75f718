"""
The questions of an export: pages of a table in the order of a key, each beginning after the last row of the one before.

No page needs a transaction that outlives it, and what others write meanwhile moves no row to another page.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl
import sqlalchemy as sa

from aicore_sqllog.querying.conditions import matching
from aicore_sqllog.querying.execute import Question
from aicore_sqllog.querying.filters import LogFilter
from aicore_sqllog.transfer.tables import LOSSES, MESSAGES, OPERATIONS, SESSIONS, ExportedTable

__all__ = ["Choice", "losses_page", "messages_of", "operations_page", "sessions_page"]

_KEYS_A_LOOKUP = 500


class Choice(NamedTuple):
    """Which rows an export takes, and whether with their texts."""

    filters: Mapping[str, Any]
    with_content: bool

    @property
    def is_of_a_period(self) -> bool:
        """Whether nothing but a period was chosen, or all: then the losses of that period belong to it."""
        return self.filters.keys() <= {"start_date", "end_date"}


def operations_page(choice: Choice, after: Sequence[Any] | None, rows: int) -> Question[pl.DataFrame]:
    """Ask for the next *rows* operations *after* a time and an id."""
    table = OPERATIONS.table
    select = matching(
        sa.select(*OPERATIONS.selected(table, with_content=choice.with_content)), LogFilter.of(choice.filters)
    )
    if after is not None:
        moment, key = after
        # The first condition is implied by the second one; it is what the index on the time is used for.
        select = select.where(
            table.c.timestamp >= moment, sa.or_(table.c.timestamp > moment, table.c.operation_id > key)
        )
    found = yield select.order_by(table.c.timestamp, table.c.operation_id).limit(rows)
    return OPERATIONS.frame(found)


def messages_of(choice: Choice, operation_ids: Sequence[str]) -> Question[pl.DataFrame]:
    """Ask for the messages of operations, in order."""
    table = MESSAGES.table
    found: list[Any] = []
    for start in range(0, len(operation_ids), _KEYS_A_LOOKUP):
        ids = operation_ids[start : start + _KEYS_A_LOOKUP]
        select = sa.select(*MESSAGES.selected(table, with_content=choice.with_content))
        select = select.where(table.c.operation_id.in_(ids))
        found.extend((yield select.order_by(table.c.operation_id, table.c.sequence_number, table.c.message_id)))
    return MESSAGES.frame(found)


def sessions_page(choice: Choice, after: str | None, rows: int) -> Question[pl.DataFrame]:
    """Ask for the next *rows* sessions after an id: of the operations chosen, or all where nothing is chosen."""
    source = SESSIONS.table.alias("chosen_sessions")
    select = sa.select(*SESSIONS.selected(source, with_content=choice.with_content))
    if choice.filters:
        of_it = matching(sa.select(sa.literal(1)), LogFilter.of(choice.filters))
        of_it = of_it.where(OPERATIONS.table.c.session_id == source.c.session_id)
        select = select.where(of_it.correlate(source).exists())
    return (yield from _page(SESSIONS, select, source.c.session_id, after, rows))


def losses_page(choice: Choice, after: str | None, rows: int) -> Question[pl.DataFrame]:
    """Ask for the next *rows* losses after an id that happened in the period chosen."""
    table = LOSSES.table
    select = sa.select(*LOSSES.selected(table, with_content=choice.with_content))
    for condition in LogFilter.of(choice.filters).conditions:
        if condition.comparison == "before":
            select = select.where(table.c.first_at < condition.value)
        else:
            select = select.where(table.c.last_at >= condition.value)
    return (yield from _page(LOSSES, select, table.c.loss_id, after, rows))


def _page(
    table: ExportedTable, select: sa.Select[Any], key: sa.ColumnElement[Any], after: str | None, rows: int
) -> Question[pl.DataFrame]:
    if after is not None:
        select = select.where(key > after)
    return table.frame((yield select.order_by(key).limit(rows)))
