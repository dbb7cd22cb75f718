"""
The tables, brought to the revision that this version needs.

We are a guest in the database: nothing but our own tables is seen or touched. Alembic is imported
only where something has to be done.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal
from zlib import crc32

import sqlalchemy as sa

from aicore_sqllog.errors import SchemaError
from aicore_sqllog.process.fork_guard import IMPORTS
from aicore_sqllog.storage import mysql
from aicore_sqllog.storage.revisions import HEAD, VERSION_TABLE, Found, look, refuse_unusable

__all__ = ["MigrateMode", "downgrade", "ensure_schema", "upgrade"]

MigrateMode = Literal["auto", "check", "off"]

Say = Callable[[str], None]

_LOCK_SECONDS = 60
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
        if not found.is_later and found.shown != HEAD:
            what = "there are none" if found.revision is None else f"they are at revision {found.shown}"
            raise SchemaError(f"The tables are not ready: {what}, and this version needs {HEAD}. {_UPGRADE}")
    else:
        found = upgrade(connection, schema)
    if found.is_later:
        say(refuse_unusable(connection, schema, str(found.stamped)))


def upgrade(connection: sa.Connection, schema: str | None = None, revision: str = HEAD) -> Found:
    """
    Bring the tables up to *revision*, and return what was found; safe beside other processes that do the same.

    What a crash left half done is completed: where the version table and the columns tell
    different things, every revision is gone through again, for each step looks before it acts.
    Tables of a later revision are left alone.
    """
    with _alone(connection, schema):  # also to look: MySQL shows no table that is being changed
        found = look(connection, schema)
        if not found.is_later and not found.stamped == found.shown == HEAD:
            _create_schema(connection, schema)
            if found.stamped is not None and found.stamped != found.shown:
                _run(connection, schema, lambda script, heads: script._stamp_revs("base", heads))
            _run(connection, schema, lambda script, heads: script._upgrade_revs(revision, heads))
        return found


def downgrade(connection: sa.Connection, schema: str | None = None, revision: str = "base") -> None:
    """Bring the tables down to *revision*; what the dropped columns and tables held is lost."""
    with _alone(connection, schema):
        found = look(connection, schema)
        if found.stamped is None and found.shown is not None:
            _run(connection, schema, lambda script, heads: script._stamp_revs(found.shown, heads))
        _run(connection, schema, lambda script, heads: script._downgrade_revs(revision, heads))


def _run(connection: sa.Connection, schema: str | None, steps: Callable[[Any, Any], Any]) -> None:
    """Run the steps that *steps* gives for a script directory and the current heads."""
    with IMPORTS:
        from alembic.operations import Operations
        from alembic.runtime.migration import MigrationContext
        from alembic.script import ScriptDirectory

        from aicore_sqllog.storage.migrations import steps as _steps  # noqa: F401  # which the revisions import

    folder = Path(__file__).parent / "migrations"
    script = ScriptDirectory(folder, version_locations=[str(folder / "versions")])
    context = MigrationContext.configure(
        connection,
        opts={
            "version_table": VERSION_TABLE,
            "version_table_schema": schema,
            "fn": lambda heads, _context: steps(script, heads),
        },
    )
    with Operations.context(context):
        context.run_migrations()


def _create_schema(connection: sa.Connection, schema: str | None) -> None:
    if schema is not None and not sa.inspect(connection).has_schema(schema):
        connection.execute(sa.schema.CreateSchema(schema, if_not_exists=True))


@contextmanager
def _alone(connection: sa.Connection, schema: str | None) -> Iterator[None]:
    """Let one process at a time in; SQLite's write lock, which the transaction holds, does that by itself."""
    name = "aicore_sqllog"
    if connection.dialect.name == "postgresql":
        # Until the end of the transaction, which a pooler in transaction mode keeps on one connection.
        key = crc32(f"{name}/{schema or ''}".encode())
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({key})")
        yield
    elif connection.dialect.name in mysql.DIALECTS:
        database = schema or connection.engine.url.database or ""
        lock = f"{name}.{crc32(database.encode()):08x}"  # locks are the server's, and have 64 characters at most
        taken = connection.scalar(sa.select(sa.func.get_lock(lock, _LOCK_SECONDS)))
        if taken != 1:
            raise SchemaError("Another process has been migrating the tables for a minute. This is tried again.")
        try:
            yield
        finally:
            with suppress(sa.exc.SQLAlchemyError):  # it ends with the connection if that is gone
                connection.scalar(sa.select(sa.func.release_lock(lock)))
    else:
        yield
