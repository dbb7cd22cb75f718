"""
The tables, brought to the revision that this version needs.

We are a guest in the database: nothing but our own tables is seen or touched. Alembic is imported
only where something has to be done.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Literal

import sqlalchemy as sa

from aicore_sqllog.errors import SchemaError
from aicore_sqllog.process.fork_guard import IMPORTS
from aicore_sqllog.storage.dialects.lookup import dialect_of
from aicore_sqllog.storage.migrations.quiet import quiet
from aicore_sqllog.storage.orphans import tell_of_orphans
from aicore_sqllog.storage.revisions import HEAD, VERSION_TABLE, Found, look, refuse_unusable

__all__ = ["MigrateMode", "downgrade", "ensure_schema", "upgrade"]

MigrateMode = Literal["auto", "check", "off"]

Say = Callable[[str], None]

_HEEDED_NO_FOREIGN_KEYS = ("0001", "0002")
"""Revisions under which a DELETE by another program's connection to SQLite left behind what it should have taken."""

_UPGRADE = (
    'Run `aicore-sqllog upgrade --connection ...`, or give SQLLogHandler migrate="auto", '
    "or bring them up with your own Alembic."
)


def ensure_schema(connection: sa.Connection, schema: str | None, mode: MigrateMode, say: Say) -> None:
    """
    Make sure that the tables are those that we write, as *mode* says.

    Args:
        connection: In a transaction, which the caller commits.

        schema: The database schema of the tables; None for the default one.

        mode: ``"auto"`` creates and upgrades them; ``"check"`` refuses older ones; ``"off"`` does not look.

        say: Gets a sentence for a person where the tables are newer than this version and still usable.

    Raises:
        SchemaError: If they are older and *mode* is ``"check"``, newer than can be written to, or another
            program's.
    """
    if mode == "off":
        return
    if mode == "check":
        found = look(connection, schema)
        if not found.is_later and not found.revision == found.shown == HEAD:
            what = "there are none" if found.revision is None else f"they are at revision {found.shown}"
            raise SchemaError(f"The tables are not ready: {what}, and this version needs {HEAD}. {_UPGRADE}")
    else:
        found = upgrade(connection, schema)
        told = tell_of_orphans(connection) if found.revision in _HEEDED_NO_FOREIGN_KEYS else None
        if told is not None:
            say(told)
    if found.is_later:
        say(refuse_unusable(connection, schema, str(found.stamped)))


def upgrade(connection: sa.Connection, schema: str | None = None, revision: str = HEAD) -> Found:
    """
    Bring the tables up to *revision*, and return what was found; safe beside other processes that do the same.

    What a crash left half done is completed: where the version table and the columns tell
    different things, every revision is gone through again, because each step looks before it acts.
    Tables of a later revision are left alone.
    """
    # The lock is held to look, too: MySQL shows no table that is being changed.
    with dialect_of(connection).migration_lock(connection, schema):
        found = look(connection, schema)
        if not found.is_later and not found.stamped == found.shown == HEAD:
            _create_schema(connection, schema)
            reached = found.stamped if found.stamped == found.shown else None
            _runner().run_up(connection, VERSION_TABLE, schema, reached, revision)
        return found


def downgrade(connection: sa.Connection, schema: str | None = None, revision: str = "base") -> None:
    """
    Bring the tables down to *revision*; what the dropped columns and tables held is lost.

    Raises:
        SchemaError: If they are at an earlier revision, or at one that a later version made.
    """
    target = None if revision == "base" else revision
    with dialect_of(connection).migration_lock(connection, schema):
        found = look(connection, schema)
        if found.is_later:
            raise SchemaError(
                f"The tables are at revision {found.stamped}, which this version does not know; its last is {HEAD}. "
                "Run the downgrade of the version of aicore-sqllog that made them."
            )
        if target is not None and (found.revision is None or found.revision < target):
            what = "There are no tables" if found.revision is None else f"The tables are at revision {found.revision}"
            raise SchemaError(f"{what}, so there is no way down to {revision}. Run `aicore-sqllog upgrade {revision}`.")
        if found.stamped is not None or found.shown is not None:
            # From the last on, because each step looks before it acts, and an earlier way down may have been cut off.
            _runner().run_down(connection, VERSION_TABLE, schema, HEAD, target)


def _runner() -> ModuleType:
    """Return what runs revisions; it and Alembic, which takes long to import, are loaded when there is work."""
    with IMPORTS, quiet():
        from aicore_sqllog.storage.migrations import runner
    return runner


def _create_schema(connection: sa.Connection, schema: str | None) -> None:
    if schema is not None and not sa.inspect(connection).has_schema(schema):
        connection.execute(sa.schema.CreateSchema(schema, if_not_exists=True))
