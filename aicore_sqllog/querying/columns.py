"""
The columns of the frames, and how each is selected.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import sqlalchemy as sa

from aicore_sqllog.record import columns
from aicore_sqllog.record.columns import Column, ColumnKind
from aicore_sqllog.storage.expressions import by_code_point, plain_instant
from aicore_sqllog.storage.models import LlmLogLoss, LlmMessage, LlmOperation, LlmSession

__all__ = [
    "FRAME_COLUMNS",
    "LOSSES",
    "LOSS_COLUMNS",
    "MESSAGES",
    "MESSAGE_COLUMNS",
    "OPERATIONS",
    "SESSIONS",
    "SESSION_COLUMNS",
    "FrameColumn",
]

OPERATIONS = cast(sa.Table, LlmOperation.__table__)
SESSIONS = cast(sa.Table, LlmSession.__table__)
MESSAGES = cast(sa.Table, LlmMessage.__table__)
LOSSES = cast(sa.Table, LlmLogLoss.__table__)


class FrameColumn(NamedTuple):
    """A column of a frame: what it holds, and the table's column that it comes from."""

    kind: ColumnKind
    column: sa.Column[Any]

    def selected(self) -> sa.ColumnElement[Any]:
        """Return the column such that drivers give simple values, which the frame then types column by column."""
        if self.kind is ColumnKind.ID:
            return sa.cast(self.column, sa.String(36))
        if self.kind is ColumnKind.JSON:
            return sa.cast(self.column, sa.Text)
        if self.kind is ColumnKind.INSTANT:
            return plain_instant(self.column)
        return self.column

    def sorted(self) -> sa.ColumnElement[Any]:
        """Return the column such that it sorts the same on every database."""
        return by_code_point(self.column) if self.kind in (ColumnKind.NAME, ColumnKind.TEXT) else self.column


def _of(table: sa.Table, stored: Sequence[Column], names: Sequence[str] | None = None) -> dict[str, FrameColumn]:
    """Return the frame's columns for those of *stored* that *names* names, in the order of *names*; None is all."""
    found = {column.key: FrameColumn(column.kind, table.c[column.name]) for column in stored}
    return found if names is None else {name: found[name] for name in names}


FRAME_COLUMNS: Mapping[str, FrameColumn] = {
    **_of(OPERATIONS, columns.OPERATIONS),
    **_of(SESSIONS, columns.SESSIONS, ("session_key", "session_metadata")),
}
"""The columns of the frame of operations, in order."""

SESSION_COLUMNS: Mapping[str, FrameColumn] = _of(
    SESSIONS,
    columns.SESSIONS,
    ("session_id", "session_key", "workspace", "agent_id", "created_at", "session_metadata"),
)
"""The columns of the frame of sessions that are theirs, in order."""

LOSS_COLUMNS: Mapping[str, FrameColumn] = _of(
    LOSSES, columns.LOSSES, ("reason", "count", "bytes", "first_at", "last_at", "host", "process_id")
)
"""The columns of the frame of losses, in order."""

MESSAGE_COLUMNS: Mapping[str, FrameColumn] = _of(
    MESSAGES, columns.MESSAGES, ("operation_id", "role", "content", "parts", "sequence_number")
)
"""The columns of the frame of messages, in order."""
