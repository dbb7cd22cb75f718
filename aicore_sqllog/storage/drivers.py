"""
Which driver opens a URL: the one that it names where that is installed, else a sibling for the same database.

Imports no driver; it only looks whether one is there.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy.engine import URL

from aicore_sqllog.errors import ConfigurationError

__all__ = ["choose", "is_installed", "require"]


class _Driver(NamedTuple):
    name: str
    module: str


class _Family(NamedTuple):
    """The drivers of one kind of database, the preferred ones first."""

    dialect: str
    synchronous: Sequence[_Driver]
    asynchronous: Sequence[_Driver]
    extra: str


_POSTGRESQL = _Family(
    "postgresql",
    [_Driver("psycopg", "psycopg"), _Driver("psycopg2", "psycopg2")],
    [_Driver("psycopg", "psycopg"), _Driver("asyncpg", "asyncpg")],
    "postgres",
)
_MYSQL_SYNCHRONOUS = [_Driver("pymysql", "pymysql"), _Driver("mysqldb", "MySQLdb")]
_MYSQL_ASYNCHRONOUS = [_Driver("asyncmy", "asyncmy"), _Driver("aiomysql", "aiomysql")]
_SQLITE = _Family("sqlite", [_Driver("", "sqlite3")], [_Driver("aiosqlite", "aiosqlite")], "all")

_FAMILIES: Mapping[str, _Family] = {
    "sqlite": _SQLITE,
    "postgresql": _POSTGRESQL,
    "mysql": _Family("mysql", _MYSQL_SYNCHRONOUS, _MYSQL_ASYNCHRONOUS, "mysql"),
    "mariadb": _Family("mariadb", _MYSQL_SYNCHRONOUS, _MYSQL_ASYNCHRONOUS, "mysql"),
}

_SSL_MODE = {"sslmode": "ssl"}
_ASYNCPG_TAKES = frozenset({"ssl", "host", "port", "passfile", "target_session_attrs", "direct_tls"})
_ASYNCPG_ALONE = frozenset(
    {"timeout", "command_timeout", "statement_cache_size", "prepared_statement_cache_size", "direct_tls"}
)


def is_installed(module: str) -> bool:
    """Return whether *module* can be imported, without importing it."""
    return importlib.util.find_spec(module) is not None


def choose(url: URL, *, asynchronous: bool) -> URL | None:
    """
    Return *url* with a driver that is installed and of the kind asked for; None if there is none.

    A database of a kind that is not known here keeps its URL: its owner knows the driver.
    """
    family = _FAMILIES.get(url.get_backend_name())
    if family is None:
        return url
    named = url.drivername.partition("+")[2]
    drivers = family.asynchronous if asynchronous else family.synchronous
    for driver in sorted(drivers, key=lambda driver: driver.name != named):  # stable: the named one first
        if is_installed(driver.module):
            name = "+".join(filter(None, (family.dialect, driver.name)))
            return _translated(url, named, driver.name).set(drivername=name)
    return None


def require(url: URL, *, asynchronous: bool) -> URL:
    """
    Return what :func:`choose` returns.

    Raises:
        ConfigurationError: If no such driver is installed; it names the extra that brings one.
    """
    chosen = choose(url, asynchronous=asynchronous)
    if chosen is not None:
        return chosen
    family = _FAMILIES[url.get_backend_name()]
    drivers = family.asynchronous if asynchronous else family.synchronous
    kind = "asynchronous" if asynchronous else "synchronous"
    names = " or ".join(driver.name for driver in drivers)
    raise ConfigurationError(
        f"No {kind} driver for {family.dialect} is installed ({names}). "
        f"Install one with: pip install 'aicore-sqllog[{family.extra}]'."
    )


def _translated(url: URL, old: str, new: str) -> URL:
    """Return *url* with its query in the words of another PostgreSQL driver; all others share theirs."""
    if new == "asyncpg" and old != "asyncpg":
        query = {_SSL_MODE.get(name, name): value for name, value in url.query.items()}
        return url.set(query={name: value for name, value in query.items() if name in _ASYNCPG_TAKES})
    if old == "asyncpg" and new != "asyncpg":
        names = {ours: libpq for libpq, ours in _SSL_MODE.items()}
        return url.set(query={names.get(n, n): value for n, value in url.query.items() if n not in _ASYNCPG_ALONE})
    return url
