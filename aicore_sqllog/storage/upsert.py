"""
Insert rows that may be there already, leaving those that are as they are.

Never ``INSERT IGNORE`` or its like, which hide damage as well as conflicts.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Session

__all__ = ["insert_missing"]


def insert_missing(session: Session, model: type[DeclarativeBase], rows: Sequence[dict[str, Any]]) -> None:
    """Insert those of *rows* whose primary key, of one column, is not there."""
    if not rows:
        return
    dialect = session.get_bind().dialect.name
    options = {"render_nulls": True}
    if dialect == "sqlite":
        session.execute(sqlite.insert(model).on_conflict_do_nothing(), rows, execution_options=options)
    elif dialect == "postgresql":
        session.execute(postgresql.insert(model).on_conflict_do_nothing(), rows, execution_options=options)
    else:
        missing = _without_stored(session, model, rows)
        if missing:
            session.execute(sa.insert(model), missing, execution_options=options)


def _without_stored(
    session: Session, model: type[DeclarativeBase], rows: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    (key,) = sa.inspect(model).primary_key
    found = session.scalars(sa.select(key).where(key.in_([row[key.name] for row in rows])))
    stored = set(map(str, found))
    return [row for row in rows if row[key.name] not in stored]
