"""
Deleting an operation or a session takes along what belongs to it, and two indexes. Moves no data.
"""

from alembic.operations import Operations

from aicore_sqllog.storage.migrations.cascading import Cascading
from aicore_sqllog.storage.migrations.steps import Steps

REVISION = "0003"


def upgrade(operations: Operations) -> None:
    """Add the indexes, then have the foreign keys cascade."""
    cascading = Cascading(operations)
    cascading.lock("llm_sessions", "llm_operations", "llm_messages")
    steps = Steps(operations)
    steps.create_index("llm_operations", "user_id", "timestamp")
    steps.create_index("llm_operations", "action_id")
    cascading.add("llm_operations", "session_id", "llm_sessions")
    cascading.add("llm_messages", "operation_id", "llm_operations")


def downgrade(operations: Operations) -> None:
    """Drop the indexes, and let a session or an operation be deleted only after what belongs to it."""
    cascading = Cascading(operations)
    cascading.remove("llm_messages", "operation_id", "llm_operations")
    cascading.remove("llm_operations", "session_id", "llm_sessions")
    steps = Steps(operations)
    steps.drop_index("llm_operations", "user_id", "timestamp")
    steps.drop_index("llm_operations", "action_id")
