"""
Questions as Selects: pure, executed elsewhere.
"""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast
from uuid import UUID

import sqlalchemy as sa

from aicore_sqllog.querying.filters import TOTAL_TOKENS, Condition, LogFilter, nearest
from aicore_sqllog.storage.models import LlmMessage, LlmOperation, LlmSession
from aicore_sqllog.storage.types import Id, Json, UtcDateTime

__all__ = [
    "FRAME_COLUMNS",
    "MESSAGE_COLUMNS",
    "check_columns",
    "check_limit",
    "check_order",
    "count_select",
    "messages_select",
    "operations_select",
]

_OPERATIONS = cast(sa.Table, LlmOperation.__table__)
_SESSIONS = cast(sa.Table, LlmSession.__table__)
_MESSAGES = cast(sa.Table, LlmMessage.__table__)

FRAME_COLUMNS: Mapping[str, sa.Column[Any]] = {
    **{column.name: column for column in _OPERATIONS.columns},
    "session_key": _SESSIONS.c.session_key,
    "session_metadata": _SESSIONS.c.metadata,
}
"""The columns of the frame of operations, in order."""

MESSAGE_COLUMNS: Mapping[str, sa.Column[Any]] = {
    name: _MESSAGES.c[name] for name in ("operation_id", "role", "content", "parts", "sequence_number")
}

_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "at_least": operator.ge,
    "at_most": operator.le,
    "before": operator.lt,
}
_LARGEST = 2**62


def operations_select(
    log_filter: LogFilter,
    columns: Sequence[str],
    order_by: str = "timestamp",
    descending: bool = False,
    limit: int | None = None,
) -> sa.Select[Any]:
    """
    Return the Select of *columns* of the operations that match, ordered by *order_by*, then by ``operation_id``.

    NULLs come last, or first where *descending*, on every database.
    """
    select = sa.select(*(_plain(FRAME_COLUMNS[name]).label(name) for name in columns))
    select = _matching(select, log_filter)
    for column in dict.fromkeys((FRAME_COLUMNS[order_by], _OPERATIONS.c.operation_id)):
        if column.nullable:
            select = select.order_by(_direction(column.is_(None), descending))
        select = select.order_by(_direction(column, descending))
    return select if limit is None else select.limit(limit)


def count_select(log_filter: LogFilter) -> sa.Select[Any]:
    """Return the Select of the number of operations that match."""
    return _matching(sa.select(sa.func.count()), log_filter)


def messages_select(operation_ids: Sequence[str]) -> sa.Select[Any]:
    """Return the Select of the messages of these operations, in the order of each operation."""
    select = sa.select(*(_plain(column).label(name) for name, column in MESSAGE_COLUMNS.items()))
    return select.where(_MESSAGES.c.operation_id.in_(operation_ids)).order_by(
        _MESSAGES.c.operation_id, _MESSAGES.c.sequence_number
    )


def check_columns(columns: Sequence[str] | None) -> list[str]:
    """Return the columns asked for, all where none are named; ValueError names one that is not there."""
    if columns is None:
        return list(FRAME_COLUMNS)
    if isinstance(columns, str):
        raise ValueError(f"columns={columns!r} cannot be right. Allowed: a sequence of names, such as [{columns!r}].")
    for name in columns:
        if name not in FRAME_COLUMNS:
            raise ValueError(f"columns: there is no column {name!r}.{nearest(str(name), FRAME_COLUMNS)}")
    return list(dict.fromkeys(columns))


def check_order(order_by: str) -> str:
    """Return *order_by*; ValueError if there is no such column, or rows cannot be ordered by it."""
    sortable = [name for name, column in FRAME_COLUMNS.items() if not isinstance(column.type, Json)]
    if order_by not in sortable:
        raise ValueError(f"order_by={order_by!r}: rows have no such order.{nearest(str(order_by), sortable)}")
    return order_by


def check_limit(limit: int | None) -> int | None:
    """Return *limit*; ValueError if it is no number of rows."""
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
        raise ValueError(f"limit={limit!r} cannot be right. Allowed: a number of rows from 0 on, or None.")
    return limit


def _plain(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """Return *column* such that drivers give simple values, which the frame then types column by column."""
    if isinstance(column.type, Id):
        return sa.cast(column, sa.String(36))
    if isinstance(column.type, Json):
        return sa.cast(column, sa.Text)
    if isinstance(column.type, UtcDateTime):
        return sa.type_coerce(column, sa.String)  # one Python object a value would cost more than the query
    return column


def _direction(column: sa.ColumnElement[Any], descending: bool) -> sa.ColumnElement[Any]:
    return column.desc() if descending else column.asc()


def _matching(select: sa.Select[Any], log_filter: LogFilter) -> sa.Select[Any]:
    source = _OPERATIONS.outerjoin(_SESSIONS, _OPERATIONS.c.session_id == _SESSIONS.c.session_id)
    conditions = [_expression(condition) for condition in log_filter.conditions]
    return select.select_from(source).where(*conditions, *log_filter.where)


def _expression(condition: Condition) -> sa.ColumnElement[bool]:
    if condition.operator == "one_of":
        return _one_of(condition)
    if condition.column == TOTAL_TOKENS:
        parts = (_OPERATIONS.c.input_tokens, _OPERATIONS.c.output_tokens)
        total = sum((sa.func.coalesce(sa.cast(part, sa.BigInteger), 0) for part in parts), start=sa.literal(0))
        known = sa.or_(*(part.is_not(None) for part in parts))
        return sa.and_(known, _compare(total, condition))
    return _compare(_OPERATIONS.c[condition.column], condition)


def _compare(column: sa.ColumnElement[Any], condition: Condition) -> sa.ColumnElement[bool]:
    value: Any = condition.value
    if isinstance(value, int):
        # No column holds more; a larger number does not fit a driver's integer.
        value = sa.literal(max(-_LARGEST, min(_LARGEST, value)), sa.BigInteger)
    elif isinstance(value, float):
        value = sa.literal(max(-1e308, min(1e308, value)), sa.Double)
    compared: sa.ColumnElement[bool] = _COMPARE[condition.operator](column, value)
    return compared


def _one_of(condition: Condition) -> sa.ColumnElement[bool]:
    if condition.column != "session_id":
        return _is_in(_OPERATIONS.c[condition.column], condition.value)
    ids = [value for value in condition.value if isinstance(value, UUID)]
    keys = [value for value in condition.value if isinstance(value, str)]
    nulls = [value for value in condition.value if value is None]
    return sa.or_(
        _is_in(_OPERATIONS.c.session_id, [*ids, *nulls]),
        _is_in(_SESSIONS.c.session_key, keys),
    )


def _is_in(column: sa.Column[Any], values: Iterable[Any]) -> sa.ColumnElement[bool]:
    some = [value for value in values if value is not None]
    parts: list[sa.ColumnElement[bool]] = [column.in_(some)] if some else []
    if len(some) < len(list(values)):
        parts.append(column.is_(None))
    return sa.or_(*parts) if parts else sa.false()
