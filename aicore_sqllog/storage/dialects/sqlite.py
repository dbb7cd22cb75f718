"""
SQLite: what its connections need, each setting with what breaks without it.

SQLite is opened through Python's own ``sqlite3`` alone (and aiosqlite, which is the same library):
a second copy of SQLite in one process drops the first one's file locks and loses committed rows.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import URL, Engine
from sqlalchemy.pool import NullPool

from aicore_sqllog.storage.dialects import sqlite_reading, sqlite_vacuum
from aicore_sqllog.storage.dialects.fast_inserts import FastInsert, insert_many_values
from aicore_sqllog.storage.dialects.generic import Driver, Drivers, GenericDialect, Purpose, swap_attributes
from aicore_sqllog.storage.dialects.json_members import JsonPart, JsonPath, SqliteJson
from aicore_sqllog.storage.kinds import (
    CONTENTION,
    DISK_FULL,
    NO_FOLDER,
    NO_TABLES,
    OVERSIZE,
    POISON,
    READ_ONLY,
    RIGHTS,
    TRANSIENT,
    Kind,
    Verdict,
)

__all__ = ["SqliteDialect"]

_BUSY_SECONDS = 5.0
"""How long a statement waits for another writer's lock before it is an error that is tried again."""

_DECIDED_BY_ITS_OWNER = frozenset({"immutable", "nolock", "vfs"})
"""Parameters of a URL that say how the file is to be read."""

_WAL_SECONDS = 5.0
_WAL_PAUSE_SECONDS = 0.02


_JSON = SqliteJson()


class SqliteDialect(GenericDialect):
    """A file, which many processes may open."""

    names = ("sqlite",)
    drivers = Drivers([Driver("", "sqlite3")], [Driver("aiosqlite", "aiosqlite")], "all")
    waits_for_stored_rows = False
    has_schemas = False
    has_one_writer = True

    def file_of(self, url: URL) -> Path | None:
        database = url.database or ""
        if not database.startswith("file:"):
            return Path(database)
        return Path(unquote(database.removeprefix("file:").partition("?")[0]))

    def is_in_memory(self, url: URL) -> bool:
        database = url.database or ""
        return database in ("", ":memory:") or ":memory:" in database or url.query.get("mode") == "memory"

    def absolute(self, url: URL) -> URL:
        database = url.database or ""
        prefix = "file:" if database.startswith("file:") else ""
        return url.set(database=prefix + os.path.abspath(database.removeprefix("file:")))

    def read_only(self, url: URL) -> URL:
        database = url.database or ""
        if not database.startswith("file:"):
            database = "file:" + quote(database)
        return url.set(database=database).update_query_dict({"mode": "ro", "uri": "true"})

    def connect_args(self, driver: str, purpose: Purpose) -> Mapping[str, Any]:
        return {"timeout": _BUSY_SECONDS}

    def engine_settings(self, driver: str, purpose: Purpose) -> Mapping[str, Any]:
        # A connection is cheap, and one that a reader kept open would go on reading a file that was replaced.
        return {"poolclass": NullPool} if purpose is Purpose.READ else {}

    def prepare_engine(self, engine: Engine, url: URL, purpose: Purpose) -> None:
        path = self.file_of(url)
        if purpose is not Purpose.READ:
            _create_private_file(path)
            event.listen(engine, "connect", _on_connect)
        elif path is not None and not url.query.keys() & _DECIDED_BY_ITS_OWNER:
            sqlite_reading.read_carefully(engine, path)

    def was_changed(self, connection: sa.Connection) -> bool:
        return sqlite_reading.was_changed(connection)

    def hold(self, connection: sa.Connection) -> Callable[[], None]:
        driver_connection: Any = connection.connection.driver_connection
        if hasattr(driver_connection, "claim"):
            return lambda: None  # one that the lender uses at the same time stays as it is
        wanted: dict[str, Any] = {"text_factory": str, "row_factory": None}
        if getattr(driver_connection, "autocommit", None) is True:  # since Python 3.12: then its commit does nothing
            wanted["autocommit"] = sqlite3.LEGACY_TRANSACTION_CONTROL  # type: ignore[attr-defined, unused-ignore]
        return swap_attributes(driver_connection, wanted)

    def begin(self, connection: sa.Connection, purpose: Purpose) -> None:
        # The driver begins none before DDL, and elsewhere one without the write lock, which fails when it is
        # taken later, after a read, and another has written meanwhile.
        driver_connection: Any = connection.connection.driver_connection
        if purpose is Purpose.READ:
            return
        if hasattr(driver_connection, "claim"):
            driver_connection.claim()
        if not driver_connection.in_transaction:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    def insert_ignoring(self, model: type[Any]) -> sa.Insert:
        return sqlite.insert(model).on_conflict_do_nothing()

    def fast_insert(self, connection: sa.Connection) -> FastInsert | None:
        # Its statements are texts, in which SQLAlchemy puts no other schema.
        return None if connection.get_execution_options().get("schema_translate_map") else insert_many_values

    def read_error(self, error: BaseException) -> Verdict | None:
        name = getattr(error, "sqlite_errorname", None)
        if name is None:
            # Values that the driver itself cannot bind have no code.
            is_refusal = type(error).__module__ == "sqlite3" and type(error).__name__ != "OperationalError"
            return POISON if is_refusal else None
        primary = "_".join(str(name).split("_")[:2])
        return _VERDICTS.get(primary, TRANSIENT)

    def unix_seconds(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
        # The text's own parts: whatever stands behind the seconds is less than one.
        return sa.cast(sa.func.strftime("%s", sa.func.substr(column, 1, 19)), sa.BigInteger)

    def json_equals(self, path: JsonPath, value: JsonPart) -> str:
        return _JSON.equals(path, value)

    def json_is_null(self, path: JsonPath) -> str:
        return _JSON.is_null(path)

    def json_text(self, path: JsonPath, dialect: sa.Dialect) -> str:
        return _JSON.text(path)

    def give_back_space(self, url: URL) -> None:
        path = self.file_of(url)
        if path is not None:
            sqlite_vacuum.vacuum(path)

    def text_position(self, column: sa.ColumnElement[Any], text: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
        return sa.func.instr(column, text)

    def by_code_point(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return column.collate("BINARY")


def _create_private_file(path: Path | None) -> None:
    """Create the database file readable by its owner only, because it holds prompts; leave one that is there alone."""
    if path is not None:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _on_connect(connection: Any, _record: object) -> None:
    # The driver's own transactions begin late and unlocked; ours are begun in SqliteDialect.begin.
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        cursor.execute("PRAGMA foreign_keys = ON")
        _use_wal(cursor)
        # In WAL mode this survives a crash of the process; a power loss may take the last commits.
        cursor.execute("PRAGMA synchronous = NORMAL")
    finally:
        cursor.close()


def _use_wal(cursor: Any) -> None:
    """Let readers read while we write. Changing the mode ignores the busy timeout, so it is tried again here."""
    give_up_at = time.monotonic() + _WAL_SECONDS
    while cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            cursor.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                raise
            time.sleep(_WAL_PAUSE_SECONDS)
        else:
            return  # a file system that cannot share memory keeps its mode, and that works too


_VERDICTS: Mapping[str, Verdict] = {
    "SQLITE_BUSY": CONTENTION,
    "SQLITE_LOCKED": CONTENTION,
    "SQLITE_READONLY": READ_ONLY,
    "SQLITE_CANTOPEN": NO_FOLDER,
    "SQLITE_PERM": RIGHTS,
    "SQLITE_AUTH": RIGHTS,
    "SQLITE_NOTADB": Verdict(Kind.MISCONFIGURED, "The file is no SQLite database: give another path."),
    "SQLITE_CORRUPT": Verdict(Kind.MISCONFIGURED, "The file is damaged: move it away, and restore it if you need it."),
    "SQLITE_FULL": DISK_FULL,
    "SQLITE_IOERR": Verdict(Kind.TRANSIENT, "The disk fails."),
    "SQLITE_TOOBIG": OVERSIZE,
    "SQLITE_CONSTRAINT": POISON,
    "SQLITE_MISMATCH": POISON,
    "SQLITE_RANGE": POISON,
    "SQLITE_ERROR": NO_TABLES,
}
"""By the primary result code."""
