"""
The three tables as they are documented.
"""

import sqlalchemy as sa
from alembic.operations import Operations

from aicore_sqllog.storage.migrations.steps import Steps

REVISION = "0001"


def upgrade(operations: Operations) -> None:
    """Create the three tables and their indexes."""
    steps = Steps(operations)
    steps.create_table(
        "llm_sessions",
        sa.Column("session_id", steps.identifier(), nullable=False),
        sa.Column("workspace", steps.name()),
        sa.Column("agent_id", steps.name()),
        sa.Column("created_at", steps.instant()),
        sa.Column("metadata", steps.json()),
        sa.PrimaryKeyConstraint("session_id", name="pk_llm_sessions"),
    )
    steps.create_table(
        "llm_operations",
        sa.Column("operation_id", steps.identifier(), nullable=False),
        sa.Column("session_id", steps.identifier(), nullable=False),
        sa.Column("action_id", steps.name()),
        sa.Column("timestamp", steps.instant(), nullable=False),
        sa.Column("operation_type", steps.name()),
        sa.Column("provider", steps.name()),
        sa.Column("model", steps.name()),
        sa.Column("input_tokens", sa.Integer()),
        sa.Column("output_tokens", sa.Integer()),
        sa.Column("latency_ms", sa.Integer()),
        sa.Column("cost", steps.double()),
        sa.Column("status", steps.name()),
        sa.Column("error_message", steps.text()),
        sa.Column("extras", steps.json()),
        sa.PrimaryKeyConstraint("operation_id", name="pk_llm_operations"),
        steps.foreign_key("llm_operations", "session_id", "llm_sessions"),
    )
    steps.create_table(
        "llm_messages",
        sa.Column("message_id", steps.identifier(), nullable=False),
        sa.Column("operation_id", steps.identifier(), nullable=False),
        sa.Column("role", steps.name()),
        sa.Column("content", steps.text()),
        sa.Column("sequence_number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("message_id", name="pk_llm_messages"),
        steps.foreign_key("llm_messages", "operation_id", "llm_operations"),
    )
    steps.create_index("llm_operations", "timestamp")
    steps.create_index("llm_operations", "session_id", "timestamp")
    steps.create_index("llm_operations", "provider", "model", "timestamp")
    steps.create_index("llm_messages", "operation_id", "sequence_number")


def downgrade(operations: Operations) -> None:
    """Drop the three tables, with what is in them."""
    steps = Steps(operations)
    for table in ("llm_messages", "llm_operations", "llm_sessions"):
        steps.drop_table(table)
