"""
The steps that revisions are made of. Each looks before it acts, so one that was cut off is mended by running it again.

Knows Alembic and the column types of the revisions; imports nothing of ours, because a revision must
stay what it was when the models go on.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import sqlalchemy as sa
from alembic.operations import Operations
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeEngine

__all__ = ["Steps"]


class Steps:
    """
    The steps on one connection.

    Args:
        operations: Alembic's, on a context of their own: its ``op`` is one for the whole process, where
            an application that migrates at the same time would take our connection, and we its.
    """

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._context = operations.get_context()
        self._schema = self._context.version_table_schema
        self._dialect = self._context.dialect
        self._is_mysql = self._dialect.name in ("mysql", "mariadb")
        self._is_postgresql = self._dialect.name == "postgresql"

    def create_table(self, table: str, *items: sa.Column[Any] | sa.Constraint) -> None:
        """Create *table* unless it is there."""
        if not self._inspector().has_table(table, schema=self._schema):
            self._operations.create_table(table, *items, schema=self._schema)

    def drop_table(self, table: str) -> None:
        """Drop *table* if it is there."""
        if self._inspector().has_table(table, schema=self._schema):
            self._operations.drop_table(table, schema=self._schema)

    def add_columns(self, table: str, *columns: sa.Column[Any]) -> None:
        """Add those of *columns* that *table* has not got."""
        for column in columns:
            if column.name not in self._columns(table):
                self._operations.add_column(table, column, schema=self._schema)

    def drop_columns(self, table: str, *names: str) -> None:
        """Drop those columns of *table* that are there."""
        for column in names:
            if column in self._columns(table):
                self._operations.drop_column(table, column, schema=self._schema)

    def create_index(self, table: str, *columns: str) -> None:
        """Create the index of *table* over *columns*, under its conventional name, unless it is there."""
        index = _index_name(table, columns)
        if index not in self._indexes(table):
            self._operations.create_index(index, table, list(columns), schema=self._schema)

    def drop_index(self, table: str, *columns: str) -> None:
        """Drop the index of *table* over *columns* if it is there."""
        index = _index_name(table, columns)
        if index in self._indexes(table):
            self._operations.drop_index(index, table_name=table, schema=self._schema)

    def foreign_key(self, table: str, column: str, target_table: str) -> sa.ForeignKeyConstraint:
        """Return the foreign key of *column* to the column of the same name in *target_table*."""
        target = ".".join(filter(None, (self._schema, target_table, column)))
        return sa.ForeignKeyConstraint([column], [target], name=f"fk_{table}_{column}")

    def identifier(self) -> TypeEngine[Any]:
        """A UUID: native on PostgreSQL, else its 36 characters."""
        if self._is_mysql:
            return mysql.CHAR(36, charset="ascii", collation="ascii_bin")
        return postgresql.UUID() if self._is_postgresql else sa.CHAR(36)

    def instant(self) -> TypeEngine[Any]:
        """An instant in UTC with microseconds."""
        return mysql.DATETIME(fsp=6) if self._is_mysql else sa.DateTime(timezone=self._is_postgresql)

    def json(self) -> TypeEngine[Any]:
        """A JSON document."""
        return postgresql.JSONB() if self._is_postgresql else sa.JSON()

    def name(self) -> TypeEngine[Any]:
        """A name of 255 characters at most, compared code point by code point."""
        if self._is_mysql:
            return mysql.VARCHAR(255, charset="utf8mb4", collation=self._collation())
        return sa.String(255)

    def text(self) -> TypeEngine[Any]:
        """Text of any length, compared code point by code point."""
        return mysql.LONGTEXT(charset="utf8mb4", collation=self._collation()) if self._is_mysql else sa.Text()

    def double(self) -> TypeEngine[Any]:
        """A floating-point number of 64 bits."""
        return sa.Double()

    def _inspector(self) -> sa.Inspector:
        return sa.inspect(self._operations.get_bind())

    def _columns(self, table: str) -> set[str]:
        """Return the names of its columns; none where the table is not there."""
        with suppress(sa.exc.NoSuchTableError):
            return {column["name"] for column in self._inspector().get_columns(table, schema=self._schema)}
        return set()

    def _indexes(self, table: str) -> set[str | None]:
        with suppress(sa.exc.NoSuchTableError):
            return {index["name"] for index in self._inspector().get_indexes(table, schema=self._schema)}
        return set()

    def _collation(self) -> str:
        return "utf8mb4_nopad_bin" if getattr(self._dialect, "is_mariadb", False) else "utf8mb4_0900_bin"


def _index_name(table: str, columns: Sequence[str]) -> str:
    return f"ix_{table}_{'_'.join(columns)}"
