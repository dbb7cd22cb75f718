"""
Where a reader's connections come from: one engine, made at the first question, ours to close or lent to us.
"""

import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from aicore_sqllog.process import hooks
from aicore_sqllog.querying.failures import LogState, state_of_log, translated
from aicore_sqllog.querying.uninterrupted import Uninterrupted
from aicore_sqllog.storage.connection import Place
from aicore_sqllog.storage.dialects.generic import GenericDialect
from aicore_sqllog.storage.dialects.lookup import dialect_of
from aicore_sqllog.storage.engines import async_reader_engine, reader_engine
from aicore_sqllog.storage.faults import without_values
from aicore_sqllog.storage.transactions import async_reading, reading

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

__all__ = ["AsyncSource", "Source", "close_all"]


class Source:
    """Connections to *place*, for one reader."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._engine: Engine | None = None
        _LIVE.add(self)

    @property
    def dialect(self) -> GenericDialect:
        """What the database decides."""
        return dialect_of(self._place.url)

    @contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        """Lend a connection; SQLAlchemy's errors leave as ours."""
        engine = self._engine
        if engine is None:
            engine = self._engine = reader_engine(self._place)
            if self._place.borrowed is None:  # a reader that nobody closes leaves no connection to the garbage
                weakref.finalize(self, engine.dispose).atexit = False
        try:
            with reading(engine, is_lent=self._place.borrowed is not None) as connection:
                yield connection
        except SQLAlchemyError as exc:
            raise translated(exc, self._place, self._state(engine)) from without_values(exc)

    def close(self) -> None:
        """Close the connections that are ours; the next question opens new ones."""
        engine, self._engine = self._engine, None
        if engine is not None and self._place.borrowed is None:
            engine.dispose()

    def leave_to_parent(self) -> None:
        """In a forked child: forget the connections, which the parent still uses."""
        engine, self._engine = self._engine, None
        if engine is not None and self._place.borrowed is None:
            engine.dispose(close=False)

    def _state(self, engine: Engine) -> LogState:
        try:
            with reading(engine, is_lent=self._place.borrowed is not None) as connection:
                return state_of_log(connection)
        except SQLAlchemyError:
            return LogState.CURRENT  # more is wrong than a missing table; the first error says it


class AsyncSource:
    """:class:`Source` over an asynchronous engine, which keeps no connection: nothing outlives the event loop."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._engine: AsyncEngine | None = None

    @property
    def dialect(self) -> GenericDialect:
        """What the database decides."""
        return dialect_of(self._place.url)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator["AsyncConnection"]:
        """Lend a connection; SQLAlchemy's errors leave as ours."""
        if self._engine is None:
            self._engine = async_reader_engine(self._place)
        engine = self._engine
        try:
            async with _connected(engine) as connection:
                yield connection
        except SQLAlchemyError as exc:
            raise translated(exc, self._place, await self._state(engine)) from without_values(exc)

    async def close(self) -> None:
        """Close the connections that are ours; the next question opens new ones."""
        engine, self._engine = self._engine, None
        if engine is not None and self._place.borrowed is None:
            await engine.dispose()

    async def _state(self, engine: "AsyncEngine") -> LogState:
        try:
            async with async_reading(engine, is_lent=self._place.borrowed is not None) as connection:
                return await connection.run_sync(state_of_log)
        except SQLAlchemyError:
            return LogState.CURRENT


@asynccontextmanager
async def _connected(engine: "AsyncEngine") -> AsyncIterator["AsyncConnection"]:
    """Lend a connection that is closed even where the task is cancelled while it is made."""
    connection = engine.connect()
    opening = Uninterrupted(_open(connection))
    try:
        await opening
        yield connection
    finally:
        if opening.exception() is None:
            await Uninterrupted(connection.close())


async def _open(connection: "AsyncConnection") -> None:
    await connection.start()


_LIVE: "weakref.WeakSet[Source]" = weakref.WeakSet()


def close_all() -> None:
    """Close the connections of all readers."""
    for source in list(_LIVE):
        source.close()


def _leave_all_to_parent() -> None:
    for source in list(_LIVE):
        source.leave_to_parent()


hooks.in_child(hooks.Child.CONNECTIONS, _leave_all_to_parent)
hooks.at_end(hooks.End.CONNECTIONS, close_all)
