"""
What SQLite needs on our own connections, each setting with what breaks without it.

SQLite is opened through Python's own ``sqlite3`` alone (and aiosqlite, which is the same library):
a second copy of SQLite in one process drops the first one's file locks and loses committed rows.
"""

import contextlib
import os
import sqlite3
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine

__all__ = ["create_private_file", "prepare_writer", "read_only_url"]

BUSY_SECONDS = 5.0
"""How long a statement waits for another writer's lock before it is an error that is tried again."""

_WAL_SECONDS = 5.0
_WAL_PAUSE_SECONDS = 0.02


def prepare_writer(engine: Engine) -> None:
    """Set on *engine*, which is ours, what a writer of a shared file needs."""
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _begin_immediate)


def create_private_file(path: Path) -> None:
    """Create the database file readable by its owner only, for it holds prompts; leave one that is there alone."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def read_only_url(url: URL) -> URL:
    """Return *url* such that opening it can neither create the file nor change it."""
    database = url.database or ""
    if not database.startswith("file:"):
        database = "file:" + quote(database)
    return url.set(database=database).update_query_dict({"mode": "ro", "uri": "true"})


def _on_connect(connection: Any, _record: object) -> None:
    # The driver's own transactions begin late and unlocked; ours are begun in _begin_immediate.
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


def _begin_immediate(connection: Connection) -> None:
    # The write lock is taken at once: one taken later, after a read, fails where another wrote meanwhile.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
