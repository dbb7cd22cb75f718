"""
The tables, made where they are missing.
"""

from sqlalchemy.engine import Engine

from aicore_sqllog.storage.models import metadata

__all__ = ["create_tables"]


def create_tables(engine: Engine) -> None:
    """Create those of our tables that are not there; safe beside other processes that do the same."""
    with engine.begin() as connection:
        metadata.create_all(connection)
