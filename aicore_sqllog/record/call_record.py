"""
What one log record said, ready to be stored: the value that capture makes and delivery never changes.
"""

from dataclasses import dataclass
from datetime import datetime

__all__ = ["CallRecord", "Message", "Session"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The session of a record, as its row would be if this record were its first."""

    session_id: str
    session_key: str | None
    workspace: str | None
    agent_id: str | None
    created_at: datetime
    metadata: str | None
    """JSON text."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its readable text, and as JSON text what is more than text."""

    role: str | None
    content: str | None
    parts: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """
    One call of a model, with every value in the form its column takes.

    Texts are clean, names fit their columns, times are aware and in UTC, ids are dashed UUID
    texts, ``extras`` is JSON text. ``minted_id`` is the record's own; ``caller_id`` is the id
    that the caller asked for, which holds if no stored operation has it yet.
    """

    minted_id: str
    caller_id: str | None
    session: Session
    action_id: str | None
    timestamp: datetime
    operation_type: str | None
    provider: str | None
    model: str | None
    input_tokens: int | None
    output_tokens: int | None
    latency_ms: int | None
    cost: float | None
    status: str | None
    error_message: str | None
    extras: str
    workspace: str | None
    agent_id: str | None
    user_id: str | None
    parent_operation_id: str | None
    response_model: str | None
    finish_reason: str | None
    error_type: str | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    time_to_first_token_ms: int | None
    messages: tuple[Message, ...]

    @property
    def operation_id(self) -> str:
        """The id of the operation's row: the caller's, else the minted one."""
        return self.caller_id or self.minted_id
