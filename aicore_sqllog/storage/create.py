"""
A database that is missing, created: only where the server says that it is, and once.
"""

from typing import Literal

import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from aicore_sqllog.errors import DatabaseError
from aicore_sqllog.storage import mysql
from aicore_sqllog.storage.drivers import choose

__all__ = ["create_if_missing"]

_MYSQL_UNKNOWN_DATABASE = 1049
_MYSQL_DATABASE_EXISTS = 1007
_POSTGRESQL_UNKNOWN_DATABASE = "3D000"
_POSTGRESQL_MAINTENANCE_DATABASE = "postgres"
_CREATION_LOCK = 0x11A10610
"""The number of a lock on the server, so that of many processes that start at once one creates the database."""


def create_if_missing(url: URL, exc: BaseException) -> Literal["created", "there"] | None:
    """
    Create the database of *url* if *exc*, met on connecting, says that there is none.

    Returns:
        ``"created"`` if we did, ``"there"`` if another process was faster, None if *exc* is about
        something else, or no synchronous driver is installed, which SQLAlchemy-Utils needs.

    Raises:
        sqlalchemy.exc.DBAPIError, DatabaseError: If the server refuses to create it.
    """
    url_of_tools = choose(url, asynchronous=False)
    if url_of_tools is None or not isinstance(exc, DBAPIError) or not _says_it_is_missing(url, exc):
        return None
    create = _create_mysql if url.get_backend_name() in mysql.DIALECTS else _create_postgresql
    return "created" if create(url_of_tools) else "there"


def _says_it_is_missing(url: URL, exc: DBAPIError) -> bool:
    if url.get_backend_name() in mysql.DIALECTS:
        arguments = getattr(exc.orig, "args", ()) or (None,)
        return bool(arguments[0] == _MYSQL_UNKNOWN_DATABASE)
    if url.get_backend_name() != "postgresql":
        return False
    if getattr(exc.orig, "sqlstate", None) == _POSTGRESQL_UNKNOWN_DATABASE:
        return True
    # On connecting, libpq gives a text and no code; in every language it quotes the database's name.
    return bool(url.database) and f'"{url.database}"' in str(exc.orig).partition("failed: ")[2]


def _create_mysql(url: URL) -> bool:
    from sqlalchemy_utils import create_database

    try:
        create_database(url, encoding="utf8mb4")
    except DBAPIError as exc:
        if exc.orig is not None and exc.orig.args[:1] == (_MYSQL_DATABASE_EXISTS,):
            return False
        raise
    return True


def _create_postgresql(url: URL) -> bool:
    from sqlalchemy_utils import create_database

    server = sa.create_engine(url.set(database=_POSTGRESQL_MAINTENANCE_DATABASE), poolclass=NullPool)
    databases = sa.table("pg_database", sa.column("datname", sa.String))
    with server.begin() as connection:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_CREATION_LOCK})")
        if connection.scalar(sa.select(databases.c.datname).where(databases.c.datname == url.database)) is not None:
            return False
        may_create = "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
        if not connection.exec_driver_sql(may_create).scalar():
            raise DatabaseError(
                f"There is no database {url.database!r}, and the user {url.username!r} may not create it. "
                "Create it, or give another user in the connection."
            )
        create_database(url)
    return True
