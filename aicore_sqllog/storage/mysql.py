"""
What MySQL and MariaDB need on our own connections, and what they allow.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Engine

__all__ = ["DIALECTS", "largest_packet", "prepare_writer"]

DIALECTS = ("mysql", "mariadb")

_LOCK_SECONDS = 10


def prepare_writer(engine: Engine) -> None:
    """Set on *engine*, which is ours, what a careful writer needs."""
    event.listen(engine, "connect", _on_connect)


def largest_packet(connection: sa.Connection) -> int:
    """Return how many bytes one statement, or one row, may have: ``max_allowed_packet``."""
    return int(connection.exec_driver_sql("SELECT @@max_allowed_packet").scalar_one())


def _on_connect(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    try:
        # Without strict mode the server cuts what does not fit, and says nothing.
        cursor.execute("SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')")
        # For rows, and for a table that a backup or an ALTER TABLE holds: an error that can be told from a lost server.
        cursor.execute(f"SET SESSION innodb_lock_wait_timeout = {_LOCK_SECONDS}, lock_wait_timeout = {_LOCK_SECONDS}")
    finally:
        cursor.close()
