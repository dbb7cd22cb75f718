"""
What must hold on every connection that we read or write through, ours or lent, and is undone on a lent one.

A lender, a server, a role or an environment variable may have set another character set, date style, time zone,
SQL mode, or that each statement is committed by itself. What a transaction can hold by itself is set in each
transaction (``dialect.begin``), and ends with it. The rest is set before it on a lent connection
(``dialect.hold``), and put back before the connection goes back to its pool; one on which that fails is not given back.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from aicore_sqllog.storage.dialects.generic import Purpose
from aicore_sqllog.storage.dialects.lookup import dialect_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

__all__ = ["async_reading", "begin", "begin_again", "end", "reading"]

Release = Callable[[], None]
"""Puts back what was set."""


def begin(connection: sa.Connection, purpose: Purpose, *, is_lent: bool) -> Release:
    """Begin a transaction in which all holds that must; return what :func:`end` needs."""
    dialect = dialect_of(connection)
    release = dialect.hold(connection) if is_lent else _nothing
    try:
        connection.begin()  # now: what joins a transaction that has not begun, such as a session, would end it
        dialect.begin(connection, purpose)
    except BaseException:
        end(connection, release)
        raise
    return release


def end(connection: sa.Connection, release: Release) -> None:
    """Undo what was not committed, and put back what was set; never raises, because it runs after other errors."""
    if connection.closed or connection.invalidated:
        return
    try:
        connection.rollback()
        release()
    except Exception as exc:
        connection.invalidate(exc)


def begin_again(connection: sa.Connection) -> None:
    """Begin a reader's next transaction, where the last one was ended: what holds must hold in this too."""
    if not connection.in_transaction():
        connection.begin()
        dialect_of(connection).begin(connection, Purpose.READ)


@contextmanager
def reading(engine: Engine, *, is_lent: bool) -> Iterator[sa.Connection]:
    """Lend a connection to read through."""
    with engine.connect() as connection:
        release = begin(connection, Purpose.READ, is_lent=is_lent)
        try:
            yield connection
        finally:
            end(connection, release)


@asynccontextmanager
async def async_reading(engine: "AsyncEngine", *, is_lent: bool) -> "AsyncIterator[AsyncConnection]":
    """Lend an asynchronous connection to read through."""
    async with engine.connect() as connection:
        release = await connection.run_sync(_begin_reading, is_lent)
        try:
            yield connection
        finally:
            await connection.run_sync(end, release)


def _begin_reading(connection: sa.Connection, is_lent: bool) -> Release:
    return begin(connection, Purpose.READ, is_lent=is_lent)


def _nothing() -> None:
    """Nothing was set that has to be put back."""
