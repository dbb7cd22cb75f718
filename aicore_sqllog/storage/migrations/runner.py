"""
Runs revisions up and down, and keeps the table that says where the tables are.

Alembic gives the operations, and nothing else of it is used: no script directory, which reads files, and no
``alembic.op``, which is one for the whole process.
"""

from typing import Protocol, cast

import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

from aicore_sqllog.storage.migrations.quiet import quiet
from aicore_sqllog.storage.migrations.versions import r0001_documented, r0002_promoted, r0003_cascades

__all__ = ["SCRIPTS", "Revision", "run_down", "run_up"]


class Revision(Protocol):
    """A module of ``versions/``."""

    REVISION: str

    @staticmethod
    def upgrade(operations: Operations) -> None: ...
    @staticmethod
    def downgrade(operations: Operations) -> None: ...


SCRIPTS = cast("tuple[Revision, ...]", (r0001_documented, r0002_promoted, r0003_cascades))
"""All revisions, the first one first."""


class _Version:
    """The version table, as Alembic makes it: earlier versions of this package had it do so."""

    def __init__(self, connection: sa.Connection, name: str, schema: str | None) -> None:
        column = sa.Column("version_num", sa.String(32), nullable=False)
        key = sa.PrimaryKeyConstraint("version_num", name=f"{name}_pkc")
        self._table = sa.Table(name, sa.MetaData(), column, key, schema=schema)
        self._connection = connection
        self._table.create(connection, checkfirst=True)

    def set(self, revision: str | None) -> None:
        """Say *revision*, by one statement: nothing in between is ever seen."""
        is_said = self._connection.scalar(sa.select(sa.func.count()).select_from(self._table))
        if revision is None:
            self._connection.execute(sa.delete(self._table))
        elif is_said:
            self._connection.execute(sa.update(self._table).values(version_num=revision))
        else:
            self._connection.execute(sa.insert(self._table).values(version_num=revision))


def run_up(connection: sa.Connection, table: str, schema: str | None, above: str | None, to: str) -> None:
    """Run the upgrades of the revisions after *above*, up to *to*; each looks before it acts."""
    operations, version = _operations(connection, table, schema), _Version(connection, table, schema)
    for script in SCRIPTS:
        if (above is None or above < script.REVISION) and to >= script.REVISION:
            script.upgrade(operations)
            version.set(script.REVISION)


def run_down(connection: sa.Connection, table: str, schema: str | None, start: str, to: str | None) -> None:
    """Run the downgrades of the revisions from *start* down, and stop at *to*; None goes down to nothing."""
    operations, version = _operations(connection, table, schema), _Version(connection, table, schema)
    left = [script for script in SCRIPTS if start >= script.REVISION]
    while left and (to is None or to < left[-1].REVISION):
        script = left.pop()
        if left:  # said first: what is cut off half-way is mended by going up again, also where no column shows it
            version.set(left[-1].REVISION)
        script.downgrade(operations)
        if not left:
            version.set(None)


def _operations(connection: sa.Connection, table: str, schema: str | None) -> Operations:
    options = {"version_table": table, "version_table_schema": schema}
    with quiet():
        return Operations(MigrationContext.configure(connection, opts=options))
