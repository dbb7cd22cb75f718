"""
The driver alone: what a database holds, written again by the fastest thing its driver has, 500 operations a commit.
"""

import sqlite3
import time
from collections.abc import Callable
from typing import Any

from benchmarks.databases import new_database

__all__ = ["limit_seconds"]

_BATCH = 500
_TABLES = ("llm_sessions", "llm_operations", "llm_messages")


def limit_seconds(driver: str, url: str) -> tuple[int, float]:
    """Return how many operations the database at *url* holds, and how many seconds the driver alone takes for them."""
    with new_database(driver) as fresh:
        _make_tables(fresh)
        return _LIMITS[driver.partition("+")[0]](url, fresh)


def _make_tables(url: str) -> None:
    from aicore_sqllog.storage.connection import resolve
    from aicore_sqllog.writing.destination import Destination

    destination = Destination(resolve(url), None, "auto", lambda text: None)
    destination.run(lambda connection: None)
    destination.close()


def _sqlite(url: str, fresh: str) -> tuple[int, float]:
    source, target = (sqlite3.connect(each.removeprefix("sqlite:///")) for each in (url, fresh))
    target.execute("PRAGMA synchronous = NORMAL")
    target.execute("PRAGMA foreign_keys = ON")
    rows = {table: source.execute(f"SELECT * FROM {table}").fetchall() for table in _TABLES}
    return _insert_batches(rows, target.cursor(), target.commit, "?")


def _mysql(url: str, fresh: str) -> tuple[int, float]:
    import pymysql
    import sqlalchemy as sa

    def connect(where: str) -> Any:
        parts = sa.make_url(where)
        address: dict[str, Any] = {"host": parts.host, "port": parts.port or 3306, "database": parts.database}
        return pymysql.connect(**address, user=parts.username, password=parts.password or "", charset="utf8mb4")

    source, target = connect(url), connect(fresh)
    rows = {}
    for table in _TABLES:
        with source.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {table} ORDER BY {'operation_id, ' * (table != _TABLES[0])} 1")
            rows[table] = list(cursor.fetchall())
    return _insert_batches(rows, target.cursor(), target.commit, "%s")


def _insert_batches(
    rows: dict[str, list[Any]], cursor: Any, commit: Callable[[], None], mark: str
) -> tuple[int, float]:
    sessions, operations, messages = (rows[table] for table in _TABLES)
    inserts = [f"INSERT INTO {t} VALUES ({', '.join([mark] * len(rows[t][0]))})" for t in _TABLES]
    each = len(messages) // len(operations)
    begun = time.perf_counter()
    cursor.executemany(inserts[0], sessions)
    commit()
    for start in range(0, len(operations), _BATCH):
        cursor.executemany(inserts[1], operations[start : start + _BATCH])
        cursor.executemany(inserts[2], messages[each * start : each * (start + _BATCH)])
        commit()
    return len(operations), time.perf_counter() - begun


def _postgresql(url: str, fresh: str) -> tuple[int, float]:
    import psycopg
    import sqlalchemy as sa

    def connect(where: str) -> Any:
        return psycopg.connect(sa.make_url(where).set(drivername="postgresql").render_as_string(hide_password=False))

    source, target = connect(url), connect(fresh)

    def rows(table: str, order: str) -> list[bytes]:
        with source.cursor().copy(f"COPY (SELECT * FROM {table} ORDER BY {order}) TO STDOUT") as copy:
            return b"".join(bytes(block) for block in copy).splitlines(keepends=True)

    sessions, operations = rows(_TABLES[0], "1"), rows(_TABLES[1], "operation_id")
    messages = rows(_TABLES[2], "operation_id, sequence_number")
    each = len(messages) // len(operations)
    cursor = target.cursor()

    def write(table: str, lines: list[bytes]) -> None:
        with cursor.copy(f"COPY {table} FROM STDIN") as copy:
            copy.write(b"".join(lines))

    begun = time.perf_counter()
    write(_TABLES[0], sessions)
    target.commit()
    for start in range(0, len(operations), _BATCH):
        write(_TABLES[1], operations[start : start + _BATCH])
        write(_TABLES[2], messages[each * start : each * (start + _BATCH)])
        target.commit()
    return len(operations), time.perf_counter() - begun


_LIMITS = {"sqlite": _sqlite, "postgresql": _postgresql, "mysql": _mysql}
