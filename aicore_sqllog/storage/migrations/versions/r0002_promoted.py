"""
Columns for what every log of this kind ends up looking for, all nullable, and a table of losses. Moves no data.
"""

import sqlalchemy as sa
from alembic.operations import Operations

from aicore_sqllog.storage.migrations.steps import Steps

REVISION = "0002"

_NAMES_BEFORE = ("workspace", "agent_id", "user_id")
_NAMES_AFTER = ("response_model", "finish_reason", "error_type")
_COUNTS = ("cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "time_to_first_token_ms")


def upgrade(operations: Operations) -> None:
    """Add the columns, the table and the indexes."""
    steps = Steps(operations)
    steps.add_columns("llm_sessions", sa.Column("session_key", steps.name()))
    steps.add_columns(
        "llm_operations",
        *(sa.Column(column, steps.name()) for column in _NAMES_BEFORE),
        sa.Column("parent_operation_id", steps.identifier()),
        *(sa.Column(column, steps.name()) for column in _NAMES_AFTER),
        *(sa.Column(column, sa.Integer()) for column in _COUNTS),
    )
    steps.add_columns("llm_messages", sa.Column("parts", steps.json()))
    steps.create_table(
        "llm_log_losses",
        sa.Column("loss_id", steps.identifier(), nullable=False),
        sa.Column("reason", steps.name(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("first_at", steps.instant(), nullable=False),
        sa.Column("last_at", steps.instant(), nullable=False),
        sa.Column("host", steps.name()),
        sa.Column("process_id", sa.BigInteger()),
        sa.PrimaryKeyConstraint("loss_id", name="pk_llm_log_losses"),
    )
    steps.create_index("llm_sessions", "session_key")
    steps.create_index("llm_operations", "parent_operation_id")
    steps.create_index("llm_log_losses", "first_at")


def downgrade(operations: Operations) -> None:
    """Drop what the upgrade added, with what is in it."""
    steps = Steps(operations)
    steps.drop_table("llm_log_losses")
    steps.drop_index("llm_sessions", "session_key")
    steps.drop_index("llm_operations", "parent_operation_id")
    steps.drop_columns("llm_messages", "parts")
    steps.drop_columns("llm_operations", *_NAMES_BEFORE, "parent_operation_id", *_NAMES_AFTER, *_COUNTS)
    steps.drop_columns("llm_sessions", "session_key")
