"""
A database that one thread writes to: runs a piece of work in a transaction, whatever the driver is.

Work is a plain function of a synchronous ``Connection``. Where only an asynchronous driver is
installed, it runs on an event loop of our own, which is never the application's.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from aicore_sqllog.process.fork_guard import ForkGuard
from aicore_sqllog.storage.dialects.generic import Purpose
from aicore_sqllog.storage.transactions import begin, end

if TYPE_CHECKING:
    import asyncio

    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["Database", "GuardedDatabase", "LoopDatabase", "SyncDatabase"]

T = TypeVar("T")


class Database(Protocol):
    """What a writer needs of a database."""

    def run(self, work: Callable[[sa.Connection], T]) -> T:
        """Return what *work* returns, committed; nothing of it is stored if this raises, as far as we were told."""

    def close(self) -> None:
        """Close the connections that are ours."""

    def forget(self) -> None:
        """In a forked child: leave the connections to the parent, which still uses them."""


class SyncDatabase:
    """A database through a synchronous engine, ours or borrowed."""

    def __init__(self, engine: Engine, *, is_borrowed: bool) -> None:
        self.engine = engine
        self._is_borrowed = is_borrowed

    def run(self, work: Callable[[sa.Connection], T]) -> T:
        with self.engine.connect() as connection:
            return _transact(connection, work, is_lent=self._is_borrowed)

    def close(self) -> None:
        if not self._is_borrowed:
            self.engine.dispose()

    def forget(self) -> None:
        if not self._is_borrowed:
            _LEFT_TO_THE_PARENT.append(self.engine.pool)
            self.engine.dispose(close=False)


_LEFT_TO_THE_PARENT: list[object] = []
"""Keeps in a forked child what would close a connection of the parent's when it is collected."""


class GuardedDatabase:
    """A database that a fork must not find open, with our thread inside: SQLite; see ``process/fork_guard.py``."""

    def __init__(self, database: "SyncDatabase | LoopDatabase") -> None:
        self.engine = database.engine
        self._database = database
        self._guard = ForkGuard(before_fork=database.close)  # the next run connects again

    def run(self, work: Callable[[sa.Connection], T]) -> T:
        with self._guard:
            return self._database.run(work)

    def close(self) -> None:
        with self._guard:
            self._database.close()

    def forget(self) -> None:
        self._database.forget()


class LoopDatabase:
    """A database through an asynchronous engine of ours, on a loop of its own."""

    def __init__(self, engine: "AsyncEngine", *, transaction_seconds: float | None = None) -> None:
        self.engine = engine
        self._transaction_seconds = transaction_seconds
        self._own_loop: asyncio.AbstractEventLoop | None = None

    def run(self, work: Callable[[sa.Connection], T]) -> T:
        return self._loop().run_until_complete(self._run_in_time(work))

    def close(self) -> None:
        loop = self._loop()
        loop.run_until_complete(self.engine.dispose())
        loop.close()
        self._own_loop = None

    def forget(self) -> None:
        _LEFT_TO_THE_PARENT.append((self._own_loop, self.engine.sync_engine.pool))
        self._own_loop = None
        self.engine.sync_engine.dispose(close=False)

    async def _run_in_time(self, work: Callable[[sa.Connection], T]) -> T:
        import asyncio

        # Not every asynchronous driver has a limit of its own for an answer that never comes.
        async with asyncio.timeout(self._transaction_seconds or _TRANSACTION_SECONDS):
            return await self._run(work)

    async def _run(self, work: Callable[[sa.Connection], T]) -> T:
        async with self.engine.connect() as connection:
            return await connection.run_sync(_transact, work, is_lent=False)

    def _loop(self) -> "asyncio.AbstractEventLoop":
        if self._own_loop is None:
            import asyncio

            self._own_loop = asyncio.new_event_loop()
        return self._own_loop


_TRANSACTION_SECONDS = 120.0
"""For a transaction through an asynchronous driver; one statement of it may take half of that."""


def _transact(connection: sa.Connection, work: Callable[[sa.Connection], T], *, is_lent: bool) -> T:
    release = begin(connection, Purpose.WRITE, is_lent=is_lent)
    try:
        result = work(connection)
        connection.commit()
        return result
    finally:
        end(connection, release)
