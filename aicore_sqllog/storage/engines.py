"""
Engines: made from a :class:`~aicore_sqllog.storage.connection.Place` and ours to dispose, or borrowed and left alone.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.pool import NullPool

from aicore_sqllog.errors import ConfigurationError, LogNotFoundError
from aicore_sqllog.storage import sqlite
from aicore_sqllog.storage.connection import Place, show_url, sibling

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["async_reader_engine", "reader_engine", "writer_engine"]


def writer_engine(place: Place, options: Mapping[str, Any] | None = None) -> Engine:
    """Return the engine that the handler's thread writes with; a SQLite file is created for its owner only."""
    if isinstance(place.borrowed, Engine):
        return place.borrowed
    url = sibling(place, asynchronous=False)
    engine = _create(url, options)
    if place.is_sqlite:
        sqlite.create_private_file(place.sqlite_path)
        sqlite.prepare_writer(engine)
    return engine


def reader_engine(place: Place) -> Engine:
    """
    Return an engine that reads and cannot create anything.

    Raises:
        LogNotFoundError: If the SQLite file is not there.
    """
    if isinstance(place.borrowed, Engine):
        return place.borrowed
    return _create(_reading_url(place, asynchronous=False), _reading_options(place))


def async_reader_engine(place: Place) -> "AsyncEngine":
    """
    Return an asynchronous engine that reads, and keeps no connection between uses.

    Without a pool nothing of it belongs to an event loop, so it can be used from a second loop
    and leaves nothing behind when one ends.
    """
    from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

    if isinstance(place.borrowed, AsyncEngine):
        return place.borrowed
    url = _reading_url(place, asynchronous=True)
    return create_async_engine(url, poolclass=NullPool, hide_parameters=True)


def _create(url: sa.URL, options: Mapping[str, Any] | None) -> Engine:
    try:
        return sa.create_engine(url, **{"hide_parameters": True, **(options or {})})
    except (TypeError, sa.exc.ArgumentError) as exc:
        raise ConfigurationError(f"engine_options or the URL {show_url(url)} cannot be used: {exc}") from None


def _reading_url(place: Place, *, asynchronous: bool) -> sa.URL:
    url = sibling(place, asynchronous=asynchronous)
    if not place.is_sqlite:
        return url
    if not place.sqlite_path.exists():
        raise LogNotFoundError(
            f"There is no log at {place.sqlite_path}: the file does not exist, and reading creates nothing. "
            "Log a record through SQLLogHandler first, or give the connection that the handler has."
        )
    return sqlite.read_only_url(url)


def _reading_options(place: Place) -> Mapping[str, Any]:
    # A SQLite connection is cheap, and one kept open would go on reading a file that was replaced.
    return {"poolclass": NullPool} if place.is_sqlite else {}
