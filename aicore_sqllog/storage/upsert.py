"""
Insert rows that may be there already, leaving those that are as they are.

Where the database has no clause for it, the stored ones are looked up first; a row that another
writer stores in between is a conflict, and the batch is tried again. Never ``INSERT IGNORE`` or its
like, which hide damage as well as conflicts.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Session

__all__ = ["insert_missing"]


def insert_missing(session: Session, model: type[DeclarativeBase], rows: Sequence[dict[str, Any]]) -> None:
    """Insert those of *rows* whose primary key, of one column, is not there."""
    dialect = session.get_bind().dialect.name
    if rows and dialect not in _LOCK_NOTHING_STORED:
        rows = _without_stored(session, model, rows)
    insert = _INSERTS.get(dialect, sa.insert)
    if rows:
        session.execute(insert(model), rows, execution_options={"render_nulls": True})


def _insert_sqlite(model: type[DeclarativeBase]) -> sa.Insert:
    return sqlite.insert(model).on_conflict_do_nothing()


def _insert_postgresql(model: type[DeclarativeBase]) -> sa.Insert:
    return postgresql.insert(model).on_conflict_do_nothing()


def _insert_mysql(model: type[DeclarativeBase]) -> sa.Insert:
    (key,) = sa.inspect(model).primary_key
    return mysql.insert(model).on_duplicate_key_update({key.name: key})


_INSERTS: Mapping[str, Callable[[type[DeclarativeBase]], sa.Insert]] = {
    "sqlite": _insert_sqlite,
    "postgresql": _insert_postgresql,
    "mysql": _insert_mysql,
    "mariadb": _insert_mysql,
}


_LOCK_NOTHING_STORED = ("sqlite", "postgresql")
"""Here a conflict costs nothing; MySQL locks each row that is there, and two writers soon wait for each other."""


def _without_stored(
    session: Session, model: type[DeclarativeBase], rows: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    (key,) = sa.inspect(model).primary_key
    found = session.scalars(sa.select(key).where(key.in_([row[key.name] for row in rows])))
    stored = set(map(str, found))
    return [row for row in rows if row[key.name] not in stored]
