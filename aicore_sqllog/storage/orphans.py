"""
Messages without their operation, and operations without their session: left by a DELETE that heeded no foreign keys.

SQLite heeds them only where a connection asks for it. Nothing here deletes; ``prune(orphans=True)`` does.
"""

from typing import Any, cast

import sqlalchemy as sa

from aicore_sqllog.storage.models import LlmMessage, LlmOperation, LlmSession

__all__ = ["ORPHANS", "tell_of_orphans"]

_MESSAGES, _OPERATIONS, _SESSIONS = (
    cast(sa.Table, model.__table__) for model in (LlmMessage, LlmOperation, LlmSession)
)

ORPHANS = {
    "llm_messages": (_MESSAGES, ~sa.exists().where(_OPERATIONS.c.operation_id == _MESSAGES.c.operation_id)),
    "llm_operations": (_OPERATIONS, ~sa.exists().where(_SESSIONS.c.session_id == _OPERATIONS.c.session_id)),
}
"""Tables whose rows belong to others, each with what holds for a row whose owner is gone."""

_LOOKED_AT = 100_000
"""Rows of a table, the first by what they belong to: people delete the oldest by hand, whose ids come first."""


def tell_of_orphans(connection: sa.Connection) -> str | None:
    """Return what to tell a person about orphans among the oldest rows; None where there are none there."""
    told = [f"{number:,} rows of {table}" for table, number in _sample(connection) if number]
    if not told:
        return None
    return (
        f"{' and '.join(told)} belong to nothing any more, at least: a DELETE that heeded no foreign keys left them. "
        "They are kept; aicore_sqllog.prune(connection, orphans=True) deletes them."
    )


def _sample(connection: sa.Connection) -> list[tuple[str, int]]:
    found = []
    for owner, table in ((_OPERATIONS.c.operation_id, _MESSAGES), (_SESSIONS.c.session_id, _OPERATIONS)):
        column = table.c[owner.name]
        some: Any = sa.select(column.label("owner")).order_by(column).limit(_LOOKED_AT).subquery()
        count = sa.select(sa.func.count()).select_from(some).where(~sa.exists().where(owner == some.c.owner))
        found.append((table.name, int(connection.scalar(count) or 0)))
    return found
