"""
Foreign keys that take their rows along, put on tables that are full and written to: no row is moved or looked at.

PostgreSQL and MySQL change the constraint, and are told that the rows meet it, as the one before saw to. SQLite keeps
a table's text: a clause that says nothing about what is stored is changed there, as its documentation of ALTER TABLE
describes, and a copy of all messages spared. SQLite heeds foreign keys only where a connection asks for it, which
its command line does not: a trigger does the same for everybody.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa
from alembic.operations import Operations

__all__ = ["Cascading"]

_CLAUSE = " ON DELETE CASCADE"


class Cascading:
    """
    The foreign keys of one connection's tables.

    Args:
        operations: Alembic's, on a context of their own.
    """

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._schema = operations.get_context().version_table_schema
        self._connection: sa.Connection = operations.get_bind()
        self._database = operations.get_context().dialect.name

    def lock(self, *tables: str) -> None:
        """Keep writers out of *tables*, in the order of theirs, so that neither waits for the other for ever."""
        if self._database == "postgresql":
            quote = self._connection.dialect.identifier_preparer.format_table
            names = ", ".join(quote(sa.table(name, schema=self._schema)) for name in tables)
            self._connection.exec_driver_sql(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE")

    def add(self, table: str, column: str, target: str) -> None:
        """Have the rows of *table* go with the row of *target* that *column* names."""
        self._set(table, column, target, "CASCADE")

    def remove(self, table: str, column: str, target: str) -> None:
        """Have a row of *target* stay as long as *table* names it in *column*."""
        self._set(table, column, target, None)

    def _set(self, table: str, column: str, target: str, rule: str | None) -> None:
        if not sa.inspect(self._connection).has_table(table, schema=self._schema):
            return
        if self._database == "sqlite":
            self._set_trigger(table, column, target, rule)
        found = [key for key in self._foreign_keys(table) if key["constrained_columns"] == [column]]
        if len(found) == 1 and (found[0].get("options") or {}).get("ondelete") == rule:
            return
        if self._database == "sqlite":
            self._set_text(table, column, target, rule)
        else:
            self._replace([key["name"] for key in found], table, column, target, rule)

    def _replace(self, names: Sequence[str], table: str, column: str, target: str, rule: str | None) -> None:
        for name in names:
            self._operations.drop_constraint(name, table, type_="foreignkey", schema=self._schema)
        with self._unchecked():
            self._operations.create_foreign_key(
                f"fk_{table}_{column}",
                table,
                target,
                [column],
                [column],
                ondelete=rule,
                source_schema=self._schema,
                referent_schema=self._schema,
                postgresql_not_valid=True,
            )

    def _foreign_keys(self, table: str) -> list[Any]:
        return sa.inspect(self._connection).get_foreign_keys(table, schema=self._schema)

    @contextmanager
    def _unchecked(self) -> Iterator[None]:
        """Have MySQL take the rows as they are: else it copies the table, and nobody writes meanwhile."""
        if self._database not in ("mysql", "mariadb"):
            yield
            return
        self._connection.exec_driver_sql("SET SESSION foreign_key_checks = 0")
        try:
            yield
        finally:
            with suppress(sa.exc.SQLAlchemyError):  # it ends with the connection if that is gone
                self._connection.exec_driver_sql("SET SESSION foreign_key_checks = 1")

    def _set_trigger(self, table: str, column: str, target: str, rule: str | None) -> None:
        name = f"tr_{target}_delete"
        if rule is None:
            self._connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")
        else:
            self._connection.exec_driver_sql(
                f"CREATE TRIGGER IF NOT EXISTS {name} AFTER DELETE ON {target} "
                f"BEGIN DELETE FROM {table} WHERE {column} = OLD.{column}; END"
            )

    def _set_text(self, table: str, column: str, target: str, rule: str | None) -> None:
        found = self._connection.exec_driver_sql(
            "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)
        ).scalar_one()
        changed, number = _clause(column, target).subn(rf"\g<1>{_CLAUSE if rule else ''}", found)
        if number == 1:  # else it is written by another hand: the trigger does the same
            self._write_text(table, changed)

    def _write_text(self, table: str, text: str) -> None:
        version = int(self._connection.exec_driver_sql("PRAGMA schema_version").scalar_one())
        self._connection.exec_driver_sql("PRAGMA writable_schema = ON")
        try:
            self._connection.exec_driver_sql(
                "UPDATE sqlite_master SET sql = ? WHERE type = 'table' AND name = ?", (text, table)
            )
            self._connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
        except sa.exc.OperationalError as exc:
            # Apple builds SQLite such that nobody may: the trigger does the same.
            if "may not be modified" not in str(exc.orig):
                raise
        finally:
            with suppress(sa.exc.SQLAlchemyError):
                self._connection.exec_driver_sql("PRAGMA writable_schema = OFF")


def _clause(column: str, target: str) -> re.Pattern[str]:
    """Return what finds the reference to *target* in a table's text, and the clause behind it."""
    return re.compile(
        rf"""(REFERENCES\s+["`\[]?{target}["`\]]?\s*\(\s*["`\[]?{column}["`\]]?\s*\))({_CLAUSE})?""", re.IGNORECASE
    )
