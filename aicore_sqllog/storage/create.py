"""
A database that is missing, created: only where the server says that it is, and once.
"""

import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from aicore_sqllog.storage import mysql
from aicore_sqllog.storage.drivers import choose

__all__ = ["create_if_missing"]

_MYSQL_UNKNOWN_DATABASE = 1049
_POSTGRESQL_UNKNOWN_DATABASE = "3D000"


def create_if_missing(url: URL, exc: BaseException) -> bool:
    """
    Create the database of *url* if *exc*, met on connecting, says that there is none; return whether we did.

    It is no fault if another process creates it meanwhile. False too where no synchronous driver
    is installed, which SQLAlchemy-Utils needs.

    Raises:
        sqlalchemy.exc.DBAPIError: If the server refuses to create it.
    """
    url_of_tools = choose(url, asynchronous=False)
    if url_of_tools is None or not isinstance(exc, DBAPIError) or not _says_it_is_missing(url, exc):
        return False
    from sqlalchemy_utils import create_database, database_exists

    try:
        create_database(url_of_tools, encoding="utf8mb4" if url.get_backend_name() in mysql.DIALECTS else "utf8")
    except sa.exc.DBAPIError:
        if database_exists(url_of_tools):
            return False
        raise
    return True


def _says_it_is_missing(url: URL, exc: DBAPIError) -> bool:
    if url.get_backend_name() in mysql.DIALECTS:
        arguments = getattr(exc.orig, "args", ()) or (None,)
        return bool(arguments[0] == _MYSQL_UNKNOWN_DATABASE)
    if url.get_backend_name() != "postgresql":
        return False
    if getattr(exc.orig, "sqlstate", None) == _POSTGRESQL_UNKNOWN_DATABASE:
        return True
    # On connecting, libpq gives a text and no code; in every language it quotes the database's name.
    from sqlalchemy_utils import database_exists

    is_named = bool(url.database) and f"{url.database}" in str(exc.orig).partition("failed: ")[2]
    return is_named and not database_exists(choose(url, asynchronous=False))
