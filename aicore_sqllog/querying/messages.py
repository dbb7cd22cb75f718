"""
The question for messages, one row each, and for what was said in a session, each message once.
"""

from collections.abc import Sequence
from typing import Any, Unpack
from uuid import UUID

import polars as pl
import sqlalchemy as sa

from aicore_sqllog.querying.columns import FRAME_COLUMNS, MESSAGE_COLUMNS, MESSAGES, OPERATIONS
from aicore_sqllog.querying.conditions import matching_messages
from aicore_sqllog.querying.conversation import Said, said_once
from aicore_sqllog.querying.execute import FrameOf, Question
from aicore_sqllog.querying.filters import Filters, LogFilter
from aicore_sqllog.querying.ordering import checked_limit

__all__ = ["MessagesArguments", "conversation", "messages"]

_COLUMNS = {
    **{name: FRAME_COLUMNS[name] for name in ("session_id", "timestamp")},
    **{name: MESSAGE_COLUMNS[name] for name in ("operation_id", "sequence_number", "role", "content", "parts")},
}
_KINDS = {name: column.kind for name, column in _COLUMNS.items()}


class MessagesArguments(Filters, total=False):
    """The arguments of :func:`messages`, for those who hand them on; a test holds the two equal."""

    descending: bool
    limit: int | None


def messages(
    *, descending: bool = False, limit: int | None = None, **filters: Unpack[Filters]
) -> Question[pl.DataFrame]:
    """Ask for the messages of the operations that match; what the arguments mean is said at ``LogReader.messages``."""
    log_filter = LogFilter.of(filters, known_beside=MessagesArguments.__annotations__)
    frame: pl.DataFrame = yield FrameOf(_select(log_filter, descending).limit(checked_limit(limit)), _KINDS)
    return frame


def conversation(session_id: str | UUID) -> Question[pl.DataFrame]:
    """Ask for what was said in a session; what comes is said at ``LogReader.conversation``."""
    if not isinstance(session_id, str | UUID):
        raise ValueError(
            f"session_id={session_id!r} cannot be right. Allowed: the id of one session, as it was logged."
        )
    frame: pl.DataFrame = yield FrameOf(_select(LogFilter.of({"session_id": session_id}), descending=False), _KINDS)
    once = said_once([Said(*row) for row in frame.select("operation_id", "role", "content", "parts").iter_rows()])
    texts = pl.Series("message", [text for _, text in once], dtype=pl.String)
    kept = frame[[place for place, _ in once]] if once else frame.clear()
    return kept.with_columns(texts).with_row_index("position").cast({"position": pl.Int64})


def _select(log_filter: LogFilter, descending: bool) -> sa.Select[Any]:
    select = sa.select(*(column.selected().label(name) for name, column in _COLUMNS.items()))
    keys: Sequence[sa.Column[Any]] = (
        OPERATIONS.c.timestamp,
        OPERATIONS.c.operation_id,
        MESSAGES.c.sequence_number,
    )
    found = matching_messages(select, log_filter)
    return found.order_by(*(key.desc() if descending else key.asc() for key in keys))
