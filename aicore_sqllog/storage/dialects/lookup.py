"""
Which database it is: the one place that asks for a name.
"""

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.engine import URL

from aicore_sqllog.storage.dialects.generic import GenericDialect
from aicore_sqllog.storage.dialects.mysql import MysqlDialect
from aicore_sqllog.storage.dialects.postgresql import PostgresqlDialect
from aicore_sqllog.storage.dialects.sqlite import SqliteDialect

__all__ = ["KNOWN", "dialect_of", "with_known_name"]

KNOWN: tuple[GenericDialect, ...] = (SqliteDialect(), MysqlDialect(), PostgresqlDialect())
"""Those that are tested."""

_BY_NAME: Mapping[str, GenericDialect] = {name: dialect for dialect in KNOWN for name in dialect.names}
_OTHER = GenericDialect()
_OLD_NAMES = {"postgres": "postgresql"}
"""SQLAlchemy no longer knows them, and people still write them."""


def dialect_of(source: URL | sa.Connection | sa.Dialect) -> GenericDialect:
    """Return what the database that *source* leads to decides."""
    if isinstance(source, URL):
        return _BY_NAME.get(source.get_backend_name(), _OTHER)
    dialect = source.dialect if isinstance(source, sa.Connection) else source
    return _BY_NAME.get(dialect.name, _OTHER)


def with_known_name(url: URL) -> URL:
    """Return *url* with the name that SQLAlchemy knows where it has an older one."""
    name = url.get_backend_name()
    return url.set(drivername=url.drivername.replace(name, _OLD_NAMES[name], 1)) if name in _OLD_NAMES else url
