"""
What the writer asks of MySQL and MariaDB; see ``dialects/mysql.py``.
"""

import sqlalchemy as sa

from aicore_sqllog.storage.dialects.lookup import dialect_of
from aicore_sqllog.storage.dialects.mysql import MysqlDialect

__all__ = ["DIALECTS", "largest_packet"]

DIALECTS = MysqlDialect.names


def largest_packet(connection: sa.Connection) -> int:
    """Return how many bytes one statement, or one row, may have."""
    return dialect_of(connection).largest_row(connection) or 0
