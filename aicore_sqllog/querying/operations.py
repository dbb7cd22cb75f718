"""
The question for operations, one row each, with their messages where they are wanted.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Unpack

import polars as pl
import sqlalchemy as sa

from aicore_sqllog.querying.columns import FRAME_COLUMNS, MESSAGE_COLUMNS, MESSAGES
from aicore_sqllog.querying.conditions import matching
from aicore_sqllog.querying.execute import Question
from aicore_sqllog.querying.filters import Filters, LogFilter, nearest
from aicore_sqllog.querying.frames import message_frame, operation_frame, with_messages
from aicore_sqllog.querying.ordering import checked_limit, checked_order
from aicore_sqllog.record.columns import ColumnKind

__all__ = ["OperationsArguments", "operations"]

_OPERATIONS_A_LOOKUP = 500
_SORTABLE = [name for name, column in FRAME_COLUMNS.items() if column.kind is not ColumnKind.JSON]


class OperationsArguments(Filters, total=False):
    """The arguments of :func:`operations`, for those who hand them on; a test holds the two equal."""

    columns: Sequence[str] | None
    include_messages: bool
    decode_json: bool
    order_by: str
    descending: bool
    limit: int | None


def operations(
    *,
    columns: Sequence[str] | None = None,
    include_messages: bool = False,
    decode_json: bool = False,
    order_by: str = "timestamp",
    descending: bool = False,
    limit: int | None = None,
    **filters: Unpack[Filters],
) -> Question[pl.DataFrame]:
    """Ask for the operations that match; what the arguments mean is said at ``LogReader.operations``."""
    wanted = _check_columns(columns)
    # A Select of no column is an error on most databases.
    fetched = list(dict.fromkeys([*wanted, "operation_id"])) if include_messages or not wanted else wanted
    log_filter = LogFilter.of(filters, known_beside=OperationsArguments.__annotations__)
    order = _order(checked_order(order_by, _SORTABLE), descending)
    select = matching(sa.select(*(FRAME_COLUMNS[name].selected().label(name) for name in fetched)), log_filter)
    frame = operation_frame((yield select.order_by(*order).limit(checked_limit(limit))), fetched, decode_json)
    if not include_messages:
        return frame.select(wanted)
    messages: list[Any] = []
    for ids in _batches(frame["operation_id"].to_list()):
        messages.extend((yield _messages_select(ids)))
    return with_messages(frame, message_frame(messages)).select(*wanted, "messages")


def _messages_select(operation_ids: Sequence[str]) -> sa.Select[Any]:
    select = sa.select(*(column.selected().label(name) for name, column in MESSAGE_COLUMNS.items()))
    return select.where(MESSAGES.c.operation_id.in_(operation_ids)).order_by(
        MESSAGES.c.operation_id, MESSAGES.c.sequence_number
    )


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), _OPERATIONS_A_LOOKUP):
        yield ids[start : start + _OPERATIONS_A_LOOKUP]


def _order(name: str, descending: bool) -> Iterator[sa.ColumnElement[Any]]:
    """Yield the order by column *name*, then by ``operation_id``; NULLs last, or first where *descending*."""
    for column in (FRAME_COLUMNS[key] for key in dict.fromkeys((name, "operation_id"))):
        keys = (column.column.is_(None), column.sorted()) if column.column.nullable else (column.sorted(),)
        yield from (key.desc() if descending else key.asc() for key in keys)


def _check_columns(columns: Sequence[str] | None) -> list[str]:
    if columns is None:
        return list(FRAME_COLUMNS)
    if isinstance(columns, str):
        raise ValueError(f"columns={columns!r} cannot be right. Allowed: a sequence of names, such as [{columns!r}].")
    for name in columns:
        if name not in FRAME_COLUMNS:
            raise ValueError(f"columns: there is no column {name!r}.{nearest(str(name), FRAME_COLUMNS)}")
    return list(dict.fromkeys(columns))
