"""
Reading a SQLite file: leaves nothing behind, and reads where it may not write.

In WAL mode SQLite itself makes two files beside the database, ``-wal`` and ``-shm``, to read it. The last connection
that may write takes them away again; one that may not leaves them, or cannot make them and fails. So:

1. Where the file and its folder can be written to, the connection may write, and is told to change nothing. It
   takes SQLite's locks, so that writers beside it are no matter.
2. Else, where another connection's files are there, it reads with them, and with locks.
3. Else it reads without locks: the file alone, or together with a ``-wal`` that a writer left. Whoever reads so asks
   afterwards whether anything changed (:func:`was_changed`), and reads again if so.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Engine

__all__ = ["read_carefully", "was_changed"]

_SEEN = "aicore_sqllog.seen"
_SECONDS = 5.0
"""How long the files may go on changing while a connection is opened."""

_NO_LOCKS = "win32-none" if os.name == "nt" else "unix-none"
_CANNOT_BE_OPENED_SO = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM)


class _Way(NamedTuple):
    """A way to open the file: the parameters of its URI, and what the connection is told first."""

    parameters: str
    pragma: str = "query_only = ON"
    has_locks: bool = True


_AS_A_WRITER = _Way("mode=rw")
_WITH_LOCKS = _Way("mode=ro")
_FILE_ALONE = _Way("mode=ro&immutable=1", has_locks=False)
# A connection that has the file for itself keeps the index of the -wal in memory. Only where all else failed: on being
# closed it would take the locks of another connection of this process with it, which could not exist here.
_FILE_AND_WAL = _Way(f"mode=ro&vfs={_NO_LOCKS}", "locking_mode = EXCLUSIVE", has_locks=False)


def read_carefully(engine: Engine, named: Path) -> None:
    """Have *engine*, which is ours, open the file at *named* in the first way that works at that moment."""

    def connect(dialect: sa.Dialect, record: Any, _arguments: Any, options: dict[str, Any]) -> Any:
        give_up_at = time.monotonic() + _SECONDS
        while True:
            path = named.resolve()  # SQLite keeps its files beside the one that a link leads to
            state = _state_of(path)
            try:
                connection, way = _open(path, lambda uri: dialect.connect(uri, **{**options, "uri": True}))
            except Exception:
                # A writer that came or went in between makes a way right that was not looked at.
                if _state_of(path) == state or time.monotonic() > give_up_at:
                    raise
            else:
                record.info[_SEEN] = None if way.has_locks else (path, state)
                return connection

    event.listen(engine, "do_connect", connect)


def was_changed(connection: sa.Connection) -> bool:
    """Whether *connection* reads without locks, and the file has changed since it was opened."""
    seen = connection.info.get(_SEEN)
    return seen is not None and _state_of(seen[0]) != seen[1]


def _open(path: Path, connect: Callable[[str], Any]) -> tuple[Any, _Way]:
    """Return a connection, and the way it was opened: the first that works."""
    ways = list(_ways(path))
    for way in ways:
        connection = connect(f"file:{quote(str(path))}?{way.parameters}")
        try:
            _begin(connection, way)
        except Exception as exc:
            connection.close()
            if way is ways[-1] or not _may_work_in_another_way(exc):
                raise
        else:
            return connection, way
    raise AssertionError("there is always a way")


def _ways(path: Path) -> Iterator[_Way]:
    """Yield the ways that may work, the best first."""
    if _is_writable(path) and _is_writable(path.parent):
        yield _AS_A_WRITER
    has_wal = _beside(path, "-wal").exists()
    if (has_wal and _beside(path, "-shm").exists()) or _beside(path, "-journal").exists():
        yield _WITH_LOCKS
    yield _FILE_AND_WAL if has_wal else _FILE_ALONE


def _begin(connection: Any, way: _Way) -> None:
    cursor = connection.cursor()
    try:
        cursor.execute(f"PRAGMA {way.pragma}")
        cursor.execute("PRAGMA schema_version")  # the first access, which is what fails
        cursor.fetchall()
    finally:
        cursor.close()


def _may_work_in_another_way(exc: BaseException) -> bool:
    code = getattr(exc, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _CANNOT_BE_OPENED_SO


def _is_writable(path: Path) -> bool:
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _state_of(path: Path) -> list[tuple[int, ...] | None]:
    """Return what tells whether the file, or what a writer keeps beside it, was changed; nothing is opened."""
    found: list[tuple[int, ...] | None] = []
    for one in (path, _beside(path, "-wal"), _beside(path, "-journal")):
        try:
            stat = one.stat()
        except OSError:
            found.append(None)
        else:
            found.append((stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
    return found


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
