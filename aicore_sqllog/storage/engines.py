"""
Engines: made from a :class:`~aicore_sqllog.storage.connection.Place` and ours to dispose, or borrowed and left alone.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.pool import NullPool

from aicore_sqllog.errors import ConfigurationError, LogNotFoundError
from aicore_sqllog.process.fork_guard import CONNECT_SECONDS, IMPORTS, ForkGuard
from aicore_sqllog.storage.connection import Place, show_url
from aicore_sqllog.storage.database import Database, GuardedDatabase, LoopDatabase, SyncDatabase
from aicore_sqllog.storage.dialects.generic import MIGRATION_SECONDS, Purpose
from aicore_sqllog.storage.dialects.lookup import dialect_of
from aicore_sqllog.storage.drivers import choose, require
from aicore_sqllog.storage.shared import without_shared_transactions

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["async_reader_engine", "open_database", "reader_engine"]


def open_database(place: Place, options: Mapping[str, Any] | None = None, purpose: Purpose = Purpose.WRITE) -> Database:
    """Return the database that the handler's thread writes to; a file is created for its owner only."""
    with IMPORTS:
        database = _open(place, options or {}, purpose)
        return GuardedDatabase(database) if place.file is not None else database


def _open(place: Place, options: Mapping[str, Any], purpose: Purpose) -> SyncDatabase | LoopDatabase:
    if isinstance(place.borrowed, Engine):
        return SyncDatabase(_lent(place.borrowed, place), is_borrowed=True)
    url = choose(place.url, asynchronous=False)
    if url is None:
        seconds = MIGRATION_SECONDS if purpose is Purpose.MIGRATE else None
        return LoopDatabase(_create_async(place, options, purpose), transaction_seconds=seconds)
    engine = _create(url, _settings(url, place, purpose, options))
    _connect_inside_a_guard(engine)
    dialect_of(url).prepare_engine(engine, url, purpose)
    return SyncDatabase(engine, is_borrowed=False)


def reader_engine(place: Place) -> Engine:
    """
    Return an engine that reads and cannot create anything.

    Raises:
        LogNotFoundError: If the SQLite file is not there.
        ConfigurationError: If no synchronous driver is installed.
    """
    if isinstance(place.borrowed, Engine):
        return _lent(place.borrowed, place)
    url = _reading_url(place, asynchronous=False)
    engine = _create(url, _settings(url, place, Purpose.READ, {}))
    dialect_of(url).prepare_engine(engine, url, Purpose.READ)
    return engine


def async_reader_engine(place: Place) -> "AsyncEngine":
    """
    Return an asynchronous engine that reads, and keeps no connection between uses.

    Without a pool nothing of it belongs to an event loop, so it can be used from a second loop
    and leaves nothing behind when one ends.
    """
    from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

    if isinstance(place.borrowed, AsyncEngine):
        needed = _needed_options(place.borrowed.get_execution_options(), place)
        return place.borrowed.execution_options(**needed) if needed else place.borrowed
    url = _reading_url(place, asynchronous=True)
    engine = create_async_engine(url, **_settings(url, place, Purpose.READ, {"poolclass": NullPool}))
    dialect_of(url).prepare_engine(engine.sync_engine, url, Purpose.READ)
    return engine


def _settings(url: sa.URL, place: Place, purpose: Purpose, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``create_engine``: our defaults, under what the URL's query and *options* say."""
    dialect, driver = dialect_of(url), url.drivername.partition("+")[2]
    defaults = {name: value for name, value in dialect.connect_args(driver, purpose).items() if name not in url.query}
    settings = {"hide_parameters": True, **dialect.engine_settings(driver, purpose), **_without_autocommit(options)}
    given = settings.get("execution_options") or {}
    if needed := _needed_options(given, place):
        # Added to the user's own, whose map is for tables of other names of schemas than ours.
        settings["execution_options"] = {**given, **needed}
    connect_args = {**defaults, **options.get("connect_args", {}), **dialect.required_connect_args(driver)}
    return {**settings, "connect_args": connect_args}


def _without_autocommit(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return *options* less the wish to commit each statement by itself: a batch is stored whole or not at all."""
    kept = {name: value for name, value in options.items() if (name, value) != ("isolation_level", "AUTOCOMMIT")}
    if isinstance(kept.get("execution_options"), Mapping):
        kept["execution_options"] = _without_autocommit(kept["execution_options"])
    return kept


def _connect_inside_a_guard(engine: Engine) -> None:
    guard = ForkGuard(longest_wait=CONNECT_SECONDS)

    def connect(dialect: sa.Dialect, _record: object, arguments: Any, options: Any) -> Any:
        with guard:
            return dialect.connect(*arguments, **options)

    sa.event.listen(engine, "do_connect", connect)


def _create(url: sa.URL, settings: Mapping[str, Any]) -> Engine:
    try:
        return sa.create_engine(url, **settings)
    except (TypeError, sa.exc.ArgumentError, ImportError) as exc:
        raise ConfigurationError(f"engine_options or the URL {show_url(url)} cannot be used: {exc}") from None


def _create_async(place: Place, options: Mapping[str, Any], purpose: Purpose) -> "AsyncEngine":
    from sqlalchemy.ext.asyncio import create_async_engine

    url = require(place.url, asynchronous=True)
    engine = create_async_engine(url, **_settings(url, place, purpose, options))
    _connect_inside_a_guard(engine.sync_engine)
    dialect_of(url).prepare_engine(engine.sync_engine, url, purpose)
    return engine


def _lent(engine: Engine, place: Place) -> Engine:
    """Return a lent engine such that our tables are found in the schema asked for; the lender's is unchanged."""
    engine = without_shared_transactions(engine)
    needed = _needed_options(engine.get_execution_options(), place)
    return engine.execution_options(**needed) if needed else engine


def _needed_options(found: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """Return the options that ours must be over those of an engine's maker."""
    needed: dict[str, Any] = {}
    if place.schema is not None or "schema_translate_map" in found:
        needed["schema_translate_map"] = {None: place.schema}
    if found.get("stream_results") or found.get("yield_per"):
        needed |= _NO_STREAMING
    return needed


_NO_STREAMING = {"stream_results": False, "yield_per": None}
"""A cursor on the server takes queries alone: PostgreSQL refuses each other statement through it."""


def _reading_url(place: Place, *, asynchronous: bool) -> sa.URL:
    url = require(place.url, asynchronous=asynchronous)
    path = place.file
    if path is not None and not path.exists():
        raise LogNotFoundError(
            f"There is no log at {path}: the file does not exist, and reading creates nothing. "
            "Log a record through SQLLogHandler first, or give the connection that the handler has."
        )
    return dialect_of(url).read_only(url)
