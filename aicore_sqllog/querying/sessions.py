"""
The question for sessions, one row each, with what their operations add up to.
"""

from collections.abc import Mapping
from typing import Any, Unpack

import polars as pl
import sqlalchemy as sa

from aicore_sqllog.querying.columns import OPERATIONS, SESSION_COLUMNS, SESSIONS
from aicore_sqllog.querying.conditions import matching
from aicore_sqllog.querying.execute import Question
from aicore_sqllog.querying.filters import Filters, LogFilter
from aicore_sqllog.querying.frames import typed_frame
from aicore_sqllog.querying.measures import SUMS
from aicore_sqllog.querying.ordering import checked_limit, checked_order
from aicore_sqllog.record.columns import ColumnKind
from aicore_sqllog.storage.expressions import by_code_point, plain_instant

__all__ = ["SessionsArguments", "sessions"]

_SUMS: Mapping[str, ColumnKind] = {
    "calls": ColumnKind.COUNT,
    "error_calls": ColumnKind.COUNT,
    "input_tokens": ColumnKind.COUNT,
    "output_tokens": ColumnKind.COUNT,
    "total_tokens": ColumnKind.COUNT,
    "cost": ColumnKind.AMOUNT,
    "first_timestamp": ColumnKind.INSTANT,
    "last_timestamp": ColumnKind.INSTANT,
}


_ENDS = {
    "first_timestamp": sa.func.min(OPERATIONS.c.timestamp),
    "last_timestamp": sa.func.max(OPERATIONS.c.timestamp),
}
"""As they are stored, and so sorted; what is selected of them is made of that."""


class SessionsArguments(Filters, total=False):
    """The arguments of :func:`sessions`, for those who hand them on; a test holds the two equal."""

    order_by: str
    descending: bool
    limit: int | None


def sessions(
    *,
    order_by: str = "first_timestamp",
    descending: bool = False,
    limit: int | None = None,
    **filters: Unpack[Filters],
) -> Question[pl.DataFrame]:
    """Ask for the sessions of the operations that match; what the arguments mean is said at ``LogReader.sessions``."""
    log_filter = LogFilter.of(filters, known_beside=SessionsArguments.__annotations__)
    kinds = {**{name: column.kind for name, column in SESSION_COLUMNS.items()}, **_SUMS}
    order = checked_order(order_by, [name for name, kind in kinds.items() if kind is not ColumnKind.JSON])
    sums = [_ENDS.get(name, SUMS[name]).label(name) for name in _SUMS]
    totals = matching(sa.select(OPERATIONS.c.session_id, *sums), log_filter).group_by(OPERATIONS.c.session_id)
    found = totals.subquery("totals")
    columns = {
        **{name: column.selected() for name, column in SESSION_COLUMNS.items()},
        **{name: plain_instant(found.c[name]) if name in _ENDS else found.c[name] for name in _SUMS},
    }
    source = SESSIONS.join(found, SESSIONS.c.session_id == found.c.session_id)
    select = sa.select(*(column.label(name) for name, column in columns.items())).select_from(source)
    sorted_by = found.c[order] if order in _SUMS else _sortable(SESSION_COLUMNS[order].column, kinds[order])
    keys = [sorted_by.is_(None), sorted_by, SESSIONS.c.session_id]
    ordered = select.order_by(*(key.desc() if descending else key.asc() for key in keys))
    return typed_frame((yield ordered.limit(checked_limit(limit))), kinds)


def _sortable(column: sa.ColumnElement[Any], kind: ColumnKind) -> sa.ColumnElement[Any]:
    return by_code_point(column) if kind is ColumnKind.NAME else column
