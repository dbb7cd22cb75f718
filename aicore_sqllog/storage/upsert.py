"""
Insert rows that may be there already, leaving those that are as they are.

Where the database has no clause for it, or that would lock what is stored, the stored ones are looked up
first; a row that another writer stores in between is a conflict, and the batch is tried again. Never
``INSERT IGNORE`` or its like, which hide damage as well as conflicts.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Session

from aicore_sqllog.storage.dialects.lookup import dialect_of

__all__ = ["insert_missing"]


def insert_missing(session: Session, model: type[DeclarativeBase], rows: Sequence[dict[str, Any]]) -> None:
    """Insert those of *rows* whose primary key, of one column, is not there."""
    dialect = dialect_of(session.get_bind().dialect)
    if rows and dialect.waits_for_stored_rows:
        rows = _without_stored(session, model, rows)
    if rows:
        session.execute(dialect.insert_ignoring(model), rows, execution_options={"render_nulls": True})


def _without_stored(
    session: Session, model: type[DeclarativeBase], rows: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    (key,) = sa.inspect(model).primary_key
    found = session.scalars(sa.select(key).where(key.in_([row[key.name] for row in rows])))
    stored = set(map(str, found))
    return [row for row in rows if row[key.name] not in stored]
