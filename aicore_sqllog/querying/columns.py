"""
The columns of the frames, and how each is selected.
"""

from collections.abc import Mapping
from typing import Any, cast

import sqlalchemy as sa

from aicore_sqllog.storage.models import LlmMessage, LlmOperation, LlmSession
from aicore_sqllog.storage.types import Id, Json, UtcDateTime

__all__ = ["FRAME_COLUMNS", "MESSAGES", "MESSAGE_COLUMNS", "OPERATIONS", "SESSIONS", "selected"]

OPERATIONS = cast(sa.Table, LlmOperation.__table__)
SESSIONS = cast(sa.Table, LlmSession.__table__)
MESSAGES = cast(sa.Table, LlmMessage.__table__)

FRAME_COLUMNS: Mapping[str, sa.Column[Any]] = {
    **{column.name: column for column in OPERATIONS.columns},
    "session_key": SESSIONS.c.session_key,
    "session_metadata": SESSIONS.c.metadata,
}
"""The columns of the frame of operations, in order."""

MESSAGE_COLUMNS: Mapping[str, sa.Column[Any]] = {
    name: MESSAGES.c[name] for name in ("operation_id", "role", "content", "parts", "sequence_number")
}


def selected(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """Return *column* such that drivers give simple values, which the frame then types column by column."""
    if isinstance(column.type, Id):
        return sa.cast(column, sa.String(36))
    if isinstance(column.type, Json):
        return sa.cast(column, sa.Text)
    if isinstance(column.type, UtcDateTime):
        return sa.type_coerce(column, sa.String)  # one Python object a value would cost more than the query
    return column
