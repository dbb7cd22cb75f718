"""
A database that is missing, created: only where the server says that it is, and once.
"""

from typing import Literal

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from aicore_sqllog.storage.dialects.lookup import dialect_of
from aicore_sqllog.storage.drivers import choose

__all__ = ["create_if_missing"]


def create_if_missing(url: URL, exc: BaseException) -> Literal["created", "there"] | None:
    """
    Create the database of *url* if *exc*, met on connecting, says that there is none.

    Returns:
        ``"created"`` if we did, ``"there"`` if another process was faster, None if *exc* is about
        something else, or no synchronous driver is installed, which SQLAlchemy-Utils needs.

    Raises:
        sqlalchemy.exc.DBAPIError, DatabaseError: If the server refuses to create it.
    """
    dialect = dialect_of(url)
    synchronous = choose(url, asynchronous=False)
    if synchronous is None or not isinstance(exc, DBAPIError) or not dialect.says_database_is_missing(url, exc):
        return None
    return dialect.create_database(synchronous)
