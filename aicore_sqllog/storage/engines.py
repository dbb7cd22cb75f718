"""
Engines: made from a :class:`~aicore_sqllog.storage.connection.Place` and ours to dispose, or borrowed and left alone.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.pool import NullPool

from aicore_sqllog.errors import ConfigurationError, LogNotFoundError
from aicore_sqllog.process.fork_guard import CONNECT_SECONDS, IMPORTS, Fence
from aicore_sqllog.storage import mysql, sqlite
from aicore_sqllog.storage.connection import Place, show_url
from aicore_sqllog.storage.database import Database, FencedDatabase, LoopDatabase, SyncDatabase
from aicore_sqllog.storage.drivers import choose, require

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["async_reader_engine", "open_database", "reader_engine"]

_CONNECT_SECONDS = 5
_SOCKET_SECONDS = 60

_LIBPQ = {"connect_timeout": _CONNECT_SECONDS, "tcp_user_timeout": _SOCKET_SECONDS * 1000}
_MYSQL = {"connect_timeout": _CONNECT_SECONDS}
_MYSQL_SOCKET = {"read_timeout": _SOCKET_SECONDS, "write_timeout": _SOCKET_SECONDS}
# Poolers in transaction mode give each transaction another server connection, where a statement that
# was prepared before is unknown: nothing is prepared under a name.
_CONNECT_ARGS: Mapping[str, Mapping[str, Any]] = {
    "": {"timeout": sqlite.BUSY_SECONDS},
    "psycopg2": _LIBPQ,
    "psycopg": {**_LIBPQ, "prepare_threshold": None},
    "asyncpg": {
        "timeout": _CONNECT_SECONDS,
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": lambda: "",
    },
    "pymysql": _MYSQL,
    "mysqldb": _MYSQL,
    "asyncmy": _MYSQL,
    "aiomysql": _MYSQL,
}
_WRITER_CONNECT_ARGS: Mapping[str, Mapping[str, Any]] = {
    "asyncpg": {"command_timeout": _SOCKET_SECONDS},
    "pymysql": _MYSQL_SOCKET,
    "mysqldb": _MYSQL_SOCKET,
}


def open_database(place: Place, options: Mapping[str, Any] | None = None) -> Database:
    """Return the database that the handler's thread writes to; a SQLite file is created for its owner only."""
    with IMPORTS:
        database = _open(place, options)
        return FencedDatabase(database) if place.is_sqlite else database


def _open(place: Place, options: Mapping[str, Any] | None) -> SyncDatabase | LoopDatabase:
    if isinstance(place.borrowed, Engine):
        return SyncDatabase(_in_schema(place.borrowed, place), is_borrowed=True)
    url = choose(place.url, asynchronous=False)
    settings = _settings(url or require(place.url, asynchronous=True), place, for_writing=True, options=options)
    if url is None:
        return LoopDatabase(_create_async(place, settings))
    engine = _create(url, settings)
    _connect_inside_a_fence(engine)
    if place.is_sqlite:
        sqlite.create_private_file(place.sqlite_path)
        sqlite.prepare_writer(engine)
    elif engine.dialect.name in mysql.DIALECTS:
        import encodings.idna  # noqa: F401  # by connecting, if it is not imported here

        mysql.prepare_writer(engine)
    return SyncDatabase(engine, is_borrowed=False)


def reader_engine(place: Place) -> Engine:
    """
    Return an engine that reads and cannot create anything.

    Raises:
        LogNotFoundError: If the SQLite file is not there.
        ConfigurationError: If no synchronous driver is installed.
    """
    if isinstance(place.borrowed, Engine):
        return _in_schema(place.borrowed, place)
    url = _reading_url(place, asynchronous=False)
    # A SQLite connection is cheap, and one kept open would go on reading a file that was replaced.
    options = {"poolclass": NullPool} if place.is_sqlite else {}
    return _create(url, _settings(url, place, for_writing=False, options=options))


def async_reader_engine(place: Place) -> "AsyncEngine":
    """
    Return an asynchronous engine that reads, and keeps no connection between uses.

    Without a pool nothing of it belongs to an event loop, so it can be used from a second loop
    and leaves nothing behind when one ends.
    """
    from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

    if isinstance(place.borrowed, AsyncEngine):
        if place.schema is None:
            return place.borrowed
        return place.borrowed.execution_options(schema_translate_map={None: place.schema})
    url = _reading_url(place, asynchronous=True)
    return create_async_engine(url, **_settings(url, place, for_writing=False, options={"poolclass": NullPool}))


def _settings(url: sa.URL, place: Place, *, for_writing: bool, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the arguments of ``create_engine``: our defaults, under what the URL's query and *options* say."""
    driver = url.drivername.partition("+")[2]
    options = options or {}
    is_known = place.is_sqlite or driver != ""
    connect_args = {
        **(_CONNECT_ARGS.get(driver, {}) if is_known else {}),
        **(_WRITER_CONNECT_ARGS.get(driver, {}) if for_writing else {}),
    }
    connect_args = {name: value for name, value in connect_args.items() if name not in url.query}
    settings: dict[str, Any] = {"hide_parameters": True}
    if place.schema is not None:
        settings["execution_options"] = {"schema_translate_map": {None: place.schema}}
    if not place.is_sqlite:
        settings["pool_pre_ping"] = True
    if driver == "psycopg2":
        settings["executemany_mode"] = "values_plus_batch"  # else it sends upserts row by row
    if for_writing and url.get_backend_name() in mysql.DIALECTS:
        settings["isolation_level"] = "READ COMMITTED"  # the default locks gaps, and writers wait for each other
    return {**settings, **options, "connect_args": {**connect_args, **options.get("connect_args", {})}}


def _connect_inside_a_fence(engine: Engine) -> None:
    fence = Fence(longest_wait=CONNECT_SECONDS)

    def connect(dialect: sa.Dialect, _record: object, arguments: Any, options: Any) -> Any:
        with fence:
            return dialect.connect(*arguments, **options)

    sa.event.listen(engine, "do_connect", connect)


def _create(url: sa.URL, settings: Mapping[str, Any]) -> Engine:
    try:
        return sa.create_engine(url, **settings)
    except (TypeError, sa.exc.ArgumentError, ImportError) as exc:
        raise ConfigurationError(f"engine_options or the URL {show_url(url)} cannot be used: {exc}") from None


def _create_async(place: Place, settings: Mapping[str, Any]) -> "AsyncEngine":
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(require(place.url, asynchronous=True), **settings)
    _connect_inside_a_fence(engine.sync_engine)
    if place.url.get_backend_name() in mysql.DIALECTS:
        mysql.prepare_writer(engine.sync_engine)
    return engine


def _in_schema(engine: Engine, place: Place) -> Engine:
    """Return a borrowed engine such that our tables are found in the schema asked for; the lender's is unchanged."""
    if place.schema is None:
        return engine
    return engine.execution_options(schema_translate_map={None: place.schema})


def _reading_url(place: Place, *, asynchronous: bool) -> sa.URL:
    url = require(place.url, asynchronous=asynchronous)
    if not place.is_sqlite:
        return url
    if not place.sqlite_path.exists():
        raise LogNotFoundError(
            f"There is no log at {place.sqlite_path}: the file does not exist, and reading creates nothing. "
            "Log a record through SQLLogHandler first, or give the connection that the handler has."
        )
    return sqlite.read_only_url(url)
