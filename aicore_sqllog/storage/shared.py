"""
An engine whose pool gives one connection to many: what we do must not end what its lender has begun.
"""

import sqlite3
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.pool import SingletonThreadPool, StaticPool

from aicore_sqllog.storage.dialects.lookup import dialect_of

__all__ = ["SharedConnection", "without_shared_transactions"]


class SharedConnection:
    """
    A lender's only connection, of which we end what we have begun, and nothing else.

    Closing a connection rolls back, and so does giving it back to a pool: through this it is left alone.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._has_begun = False

    def claim(self) -> None:
        """
        Note that the transaction that begins now is ours.

        Raises:
            sqlalchemy.exc.OperationalError: If the lender is in the middle of one, which is over some time.
        """
        if self._connection.in_transaction:
            busy = sqlite3.OperationalError("the application is in a transaction on the one connection of its engine")
            busy.sqlite_errorname = "SQLITE_BUSY"
            raise sa.exc.OperationalError(None, None, busy)
        self._has_begun = True

    def commit(self) -> None:
        """Commit what is ours."""
        if self._has_begun:
            self._connection.commit()
            self._has_begun = False

    def rollback(self) -> None:
        """Undo what is ours."""
        if self._has_begun:
            self._connection.rollback()
            self._has_begun = False

    def close(self) -> None:
        """Leave it open: it is the lender's."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def without_shared_transactions(engine: Engine) -> Engine:
    """Return *engine*, or one like it where its lender could be in a transaction on the connection that it gives us."""
    pool = engine.pool
    if not isinstance(pool, StaticPool | SingletonThreadPool):
        return engine
    if isinstance(pool, StaticPool) and dialect_of(engine.url).is_in_memory(engine.url):
        lent = pool.connection.dbapi_connection
        pool = StaticPool(lambda: SharedConnection(lent), reset_on_return=None, dialect=engine.dialect)
    else:
        pool = pool.recreate()  # it connects as the lender's does
    options = engine.get_execution_options()
    return Engine(pool, engine.dialect, engine.url, execution_options=options, hide_parameters=True)
