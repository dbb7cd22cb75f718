"""
What one log record said, ready to be stored: the value that capture makes and that is never changed.
"""

from datetime import datetime
from typing import Any, NamedTuple

from aicore_sqllog.record.columns import OPERATIONS

__all__ = ["OPERATION_KEYS", "CallRecord", "Message", "Session"]

OPERATION_KEYS = tuple(column.key for column in OPERATIONS)
"""The names of an operation's values, in the order in which a record holds them."""

_POSITIONS = {key: position for position, key in enumerate(OPERATION_KEYS)}


class Session(NamedTuple):
    """The session of a record, as its row would be if this record were its first: the columns, in their order."""

    session_id: str
    workspace: str | None
    agent_id: str | None
    created_at: datetime
    session_metadata: str | None
    """JSON text."""
    session_key: str | None


class Message(NamedTuple):
    """One message: its readable text, and as JSON text what is more than text."""

    role: str | None
    content: str | None
    parts: str | None


class CallRecord(NamedTuple):
    """
    One call of a model, with every value in the form its column takes.

    Texts are clean, names fit their columns, times are aware and in UTC, ids are dashed UUID
    texts, documents are JSON text. Each value of the operation is an attribute too, by the name
    of its column: ``record.model``.
    """

    minted_id: str
    """The record's own, which no other record has."""
    caller_id: str | None
    """The id that the caller asked for, which holds if no stored operation has it yet."""
    operation: tuple[Any, ...]
    """The operation's row, in the order of :data:`OPERATION_KEYS`."""
    session: Session
    messages: tuple[Message, ...]
    run_id: str | None = None
    """Of an ``llm_operation``: what tells it from others that were given the same id."""
    parent_run_id: str | None = None
    """The run id of the ``llm_operation`` around it."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self.operation[_POSITIONS[name]]
        except KeyError:
            raise AttributeError(f"a call record has no {name!r}", name=name, obj=self) from None
