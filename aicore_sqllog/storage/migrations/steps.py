"""
The steps that revisions are made of. Each looks before it acts, so one that was cut off is mended by running it again.

Knows Alembic and the column types of the revisions; imports nothing of ours, for a revision must
stay what it was when the models go on.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeEngine

__all__ = [
    "add_columns",
    "create_index",
    "create_table",
    "double",
    "drop_columns",
    "drop_index",
    "drop_table",
    "foreign_key",
    "identifier",
    "instant",
    "json",
    "name",
    "text",
]


def create_table(table: str, *items: sa.Column[Any] | sa.Constraint) -> None:
    """Create *table* unless it is there."""
    if not _inspector().has_table(table, schema=_schema()):
        op.create_table(table, *items, schema=_schema())


def drop_table(table: str) -> None:
    """Drop *table* if it is there."""
    if _inspector().has_table(table, schema=_schema()):
        op.drop_table(table, schema=_schema())


def add_columns(table: str, *columns: sa.Column[Any]) -> None:
    """Add those of *columns* that *table* has not got."""
    for column in columns:
        if column.name not in _columns(table):
            op.add_column(table, column, schema=_schema())


def drop_columns(table: str, *names: str) -> None:
    """Drop those columns of *table* that are there."""
    for column in names:
        if column in _columns(table):
            op.drop_column(table, column, schema=_schema())


def create_index(table: str, *columns: str) -> None:
    """Create the index of *table* over *columns*, under its conventional name, unless it is there."""
    index = _index_name(table, columns)
    if index not in _indexes(table):
        op.create_index(index, table, list(columns), schema=_schema())


def drop_index(table: str, *columns: str) -> None:
    """Drop the index of *table* over *columns* if it is there."""
    index = _index_name(table, columns)
    if index in _indexes(table):
        op.drop_index(index, table_name=table, schema=_schema())


def foreign_key(table: str, column: str, target_table: str) -> sa.ForeignKeyConstraint:
    """Return the foreign key of *column* to the column of the same name in *target_table*."""
    schema = _schema()
    target = ".".join(filter(None, (schema, target_table, column)))
    return sa.ForeignKeyConstraint([column], [target], name=f"fk_{table}_{column}")


def identifier() -> TypeEngine[Any]:
    """A UUID: native on PostgreSQL, else its 36 characters."""
    if _is_mysql():
        return mysql.CHAR(36, charset="ascii", collation="ascii_bin")
    return postgresql.UUID() if _dialect() == "postgresql" else sa.CHAR(36)


def instant() -> TypeEngine[Any]:
    """An instant in UTC with microseconds."""
    return mysql.DATETIME(fsp=6) if _is_mysql() else sa.DateTime(timezone=_dialect() == "postgresql")


def json() -> TypeEngine[Any]:
    """A JSON document."""
    return postgresql.JSONB() if _dialect() == "postgresql" else sa.JSON()


def name() -> TypeEngine[Any]:
    """A name of 255 characters at most, compared code point by code point."""
    if _is_mysql():
        return mysql.VARCHAR(255, charset="utf8mb4", collation=_collation())
    return sa.String(255)


def text() -> TypeEngine[Any]:
    """Text of any length, compared code point by code point."""
    return mysql.LONGTEXT(charset="utf8mb4", collation=_collation()) if _is_mysql() else sa.Text()


def double() -> TypeEngine[Any]:
    """A floating-point number of 64 bits."""
    return sa.Double()


def _index_name(table: str, columns: Sequence[str]) -> str:
    return f"ix_{table}_{'_'.join(columns)}"


def _inspector() -> sa.Inspector:
    return sa.inspect(op.get_bind())


def _columns(table: str) -> set[str]:
    return {column["name"] for column in _inspector().get_columns(table, schema=_schema())}


def _indexes(table: str) -> set[str | None]:
    return {index["name"] for index in _inspector().get_indexes(table, schema=_schema())}


def _schema() -> str | None:
    return op.get_context().version_table_schema


def _dialect() -> str:
    return op.get_bind().dialect.name


def _is_mysql() -> bool:
    return _dialect() in ("mysql", "mariadb")


def _collation() -> str:
    is_mariadb = getattr(op.get_bind().dialect, "is_mariadb", False)
    return "utf8mb4_nopad_bin" if is_mariadb else "utf8mb4_0900_bin"
