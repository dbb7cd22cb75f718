"""
Where the log lives: from what the user gave, or the environment holds, to one resolved :class:`Place`.

Connects to nothing, creates nothing, and never shows a password.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard, Union

from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError

from aicore_sqllog.errors import ConfigurationError
from aicore_sqllog.storage.dialects.lookup import dialect_of, with_known_name
from aicore_sqllog.storage.drivers import choose, require

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["ASYNC_FIRST", "SYNC_FIRST", "Connection", "Place", "resolve", "show_url"]

Connection: TypeAlias = Union[str, URL, Engine, "AsyncEngine"]
"""A SQLAlchemy URL, or an engine, which is borrowed: never disposed, no listeners set on it."""

SYNC_FIRST = ("CONNECTION_STRING", "ASYNC_CONNECTION_STRING")
ASYNC_FIRST = ("ASYNC_CONNECTION_STRING", "CONNECTION_STRING")
DEFAULT_URL = "sqlite:///aicore_sqllog.db"


@dataclass(frozen=True, slots=True)
class Place:
    """A database, by its absolute URL, and the engine if one was lent to us."""

    url: URL
    borrowed: "Engine | AsyncEngine | None" = None
    schema: str | None = None

    @property
    def file(self) -> Path | None:
        """The absolute path of the file that is the database; None where it is a server."""
        return dialect_of(self.url).file_of(self.url)

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file."""
        return self.file is not None

    @property
    def sqlite_path(self) -> Path:
        """The absolute path of the file."""
        return self.file or Path()

    def file_identity(self) -> tuple[int, int] | None:
        """Return what tells the file from another at its path; None if there is none, or it is lent to us."""
        path = self.file
        if path is None or self.borrowed is not None:
            return None
        try:
            found = path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def with_options(self, options: Mapping[str, Any] | None) -> "Place":
        """Return the place with the schema that ``engine_options`` name for tables without one, where none is given."""
        execution_options = (options or {}).get("execution_options") or {}
        schema = (execution_options.get("schema_translate_map") or {}).get(None)
        return replace(self, schema=self.schema or schema)

    def in_child(self) -> "Place":
        """
        Return the same place for a forked child: a lent engine's connections are left to the parent.

        The child gets a pool of its own, that connects as the lender's does; listeners on the
        engine itself, not on its pool or dialect, stay behind.
        """
        if not isinstance(self.borrowed, Engine) or dialect_of(self.url).is_in_memory(self.url):
            return self
        lent = self.borrowed
        own = Engine(
            lent.pool.recreate(),
            lent.dialect,
            lent.url,
            execution_options=lent.get_execution_options(),
            hide_parameters=True,
        )
        return replace(self, borrowed=own)


def resolve(connection: Connection | None, variables: tuple[str, str] = SYNC_FIRST, schema: str | None = None) -> Place:
    """
    Return the place that *connection* names, or the first of *variables* that is set, or the default file.

    An engine is borrowed where the side that asks can use it: the asynchronous reader an
    ``AsyncEngine``, all others an ``Engine``. Of the other kind only the URL is used, for a
    borrowed ``AsyncEngine`` belongs to its lender's event loop.

    Raises:
        ConfigurationError: If it is neither a SQLAlchemy URL nor an engine, is SQLite in memory,
            is SQLite and has a *schema*, or has no driver that is installed. A value that came from
            the environment is named by its variable, not shown.
    """
    wants_async = variables == ASYNC_FIRST
    if isinstance(connection, Engine):
        return _lent_place(connection, connection.url, connection.pool, schema, is_usable=not wants_async)
    if _is_async_engine(connection):
        return _lent_place(connection, connection.url, connection.pool, schema, is_usable=wants_async)
    origin: str
    value: object
    origin, value = _from_environment(variables) if connection is None else ("connection", connection)
    url = _absolute(_parse(origin, value), origin)
    if choose(url, asynchronous=True) is None:
        require(url, asynchronous=False)
    return _checked(Place(url, schema=schema))


def show_url(url: URL) -> str:
    """Return *url* as it may be printed: no password, and no query, for that may hold one too."""
    return url.set(query={}).render_as_string(hide_password=True)


def _is_async_engine(connection: object) -> "TypeGuard[AsyncEngine]":
    module = sys.modules.get("sqlalchemy.ext.asyncio")  # not imported: then it cannot be one
    return module is not None and isinstance(connection, module.AsyncEngine)


def _lent_place(
    engine: "Engine | AsyncEngine", url: URL, pool: object, schema: str | None, *, is_usable: bool
) -> Place:
    if dialect_of(url).is_in_memory(url) and not (is_usable and type(pool).__name__ == "StaticPool"):
        raise ConfigurationError(
            f"connection={show_url(url)!r} keeps SQLite in memory, with a database of its own for each thread: "
            "what the handler's thread writes is nowhere else. Give a file, or an engine with poolclass=StaticPool."
        )
    schema = schema if schema is None else _checked(Place(url, schema=schema)).schema
    lenders = engine.get_execution_options().get("schema_translate_map", {}).get(None)
    return Place(url, engine if is_usable else None, schema or lenders)


def _checked(place: Place) -> Place:
    if place.schema is not None and not dialect_of(place.url).has_schemas:
        raise ConfigurationError(f"schema={place.schema!r} cannot work: SQLite has no schemas. Leave it out.")
    return place


def _from_environment(variables: tuple[str, str]) -> tuple[str, str]:
    for variable in variables:
        value = os.environ.get(variable)
        if value:
            return f"the environment variable {variable}", value
    return "connection", DEFAULT_URL


def _parse(origin: str, value: object) -> URL:
    if not isinstance(value, str | URL):
        raise ConfigurationError(
            f"connection must be a SQLAlchemy URL, an Engine or an AsyncEngine, not {type(value).__name__}."
        )
    try:
        url = make_url(value)
        url = with_known_name(url)
        if dialect_of(url).drivers is None or "+" in url.drivername:
            url.get_dialect()  # a bare name is left: a driver that is installed is chosen when it is opened
    except (ArgumentError, ValueError, ImportError):
        # The value may hold a password anywhere, so it is not shown, nor is an error that quotes it.
        raise ConfigurationError(
            f"{origin} is not a SQLAlchemy URL. It looks like sqlite:///llm.db or "
            "postgresql://user:password@host/database."
        ) from None
    if "@" in (url.host or ""):
        # What follows the first @ is taken for the host, and would be shown as such.
        raise ConfigurationError(f"The password in {origin} holds an @: write %40 in its place.")
    return url


def _absolute(url: URL, origin: str) -> URL:
    dialect = dialect_of(url)
    if dialect.is_in_memory(url):
        raise ConfigurationError(
            f"{origin} is SQLite in memory: the handler's thread and each reader would have a database of its own. "
            "Give a file, for example sqlite:////tmp/llm.db."
        )
    return dialect.absolute(url)
