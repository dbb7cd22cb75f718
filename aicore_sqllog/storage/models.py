"""
The tables, as ORM models: all revisions of the schema together. Imports nothing of ours but the types.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from aicore_sqllog.storage.types import Id, Json, Name, Text, UtcDateTime

__all__ = ["Base", "LlmLogLoss", "LlmMessage", "LlmOperation", "LlmSession", "metadata"]


class Base(DeclarativeBase):
    """The declarative base of our tables and of no others."""

    metadata = sa.MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        }
    )


metadata = Base.metadata


class LlmSession(Base):
    """A conversation, a run or a request: what its operations have in common."""

    __tablename__ = "llm_sessions"

    session_id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    workspace: Mapped[str | None] = mapped_column(Name)
    agent_id: Mapped[str | None] = mapped_column(Name)
    created_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    session_metadata: Mapped[Any | None] = mapped_column("metadata", Json)
    # revision 0002
    session_key: Mapped[str | None] = mapped_column(Name)

    __table_args__ = (sa.Index(None, "session_key"),)


class LlmOperation(Base):
    """One call of a model: what it was, what it cost, how long it took and how it ended."""

    __tablename__ = "llm_operations"

    operation_id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    session_id: Mapped[UUID] = mapped_column(Id, sa.ForeignKey("llm_sessions.session_id", ondelete="CASCADE"))
    action_id: Mapped[str | None] = mapped_column(Name)
    timestamp: Mapped[datetime] = mapped_column(UtcDateTime)
    operation_type: Mapped[str | None] = mapped_column(Name)
    provider: Mapped[str | None] = mapped_column(Name)
    model: Mapped[str | None] = mapped_column(Name)
    input_tokens: Mapped[int | None] = mapped_column(sa.Integer)
    output_tokens: Mapped[int | None] = mapped_column(sa.Integer)
    latency_ms: Mapped[int | None] = mapped_column(sa.Integer)
    cost: Mapped[float | None] = mapped_column(sa.Double)
    status: Mapped[str | None] = mapped_column(Name)
    error_message: Mapped[str | None] = mapped_column(Text)
    extras: Mapped[Any | None] = mapped_column(Json)
    # revision 0002
    workspace: Mapped[str | None] = mapped_column(Name)
    agent_id: Mapped[str | None] = mapped_column(Name)
    user_id: Mapped[str | None] = mapped_column(Name)
    parent_operation_id: Mapped[UUID | None] = mapped_column(Id)
    response_model: Mapped[str | None] = mapped_column(Name)
    finish_reason: Mapped[str | None] = mapped_column(Name)
    error_type: Mapped[str | None] = mapped_column(Name)
    cache_read_tokens: Mapped[int | None] = mapped_column(sa.Integer)
    cache_write_tokens: Mapped[int | None] = mapped_column(sa.Integer)
    reasoning_tokens: Mapped[int | None] = mapped_column(sa.Integer)
    time_to_first_token_ms: Mapped[int | None] = mapped_column(sa.Integer)

    __table_args__ = (
        sa.Index(None, "timestamp"),
        sa.Index(None, "session_id", "timestamp"),
        sa.Index(None, "provider", "model", "timestamp"),
        sa.Index(None, "parent_operation_id"),
        # revision 0003, which has both foreign keys cascade
        sa.Index(None, "user_id", "timestamp"),
        sa.Index(None, "action_id"),
    )


class LlmMessage(Base):
    """One message of an operation; ``sequence_number`` starts at 0."""

    __tablename__ = "llm_messages"

    message_id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    operation_id: Mapped[UUID] = mapped_column(Id, sa.ForeignKey("llm_operations.operation_id", ondelete="CASCADE"))
    role: Mapped[str | None] = mapped_column(Name)
    content: Mapped[str | None] = mapped_column(Text)
    sequence_number: Mapped[int] = mapped_column(sa.Integer)
    # revision 0002
    parts: Mapped[Any | None] = mapped_column(Json)

    __table_args__ = (sa.Index(None, "operation_id", "sequence_number"),)


class LlmLogLoss(Base):
    """Records that were dropped: why, how many, when and where (revision 0002)."""

    __tablename__ = "llm_log_losses"

    loss_id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    reason: Mapped[str] = mapped_column(Name)
    count: Mapped[int] = mapped_column(sa.BigInteger)
    bytes: Mapped[int] = mapped_column(sa.BigInteger)
    first_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_at: Mapped[datetime] = mapped_column(UtcDateTime)
    host: Mapped[str | None] = mapped_column(Name)
    process_id: Mapped[int | None] = mapped_column(sa.BigInteger)

    __table_args__ = (sa.Index(None, "first_at"),)
