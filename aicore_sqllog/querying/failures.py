"""
What a reader raises in the place of SQLAlchemy's errors: ours, with what to do, and without anybody's prompts.
"""

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from aicore_sqllog.errors import DatabaseError, LogNotFoundError
from aicore_sqllog.storage.connection import Place, show_url
from aicore_sqllog.storage.faults import diagnose
from aicore_sqllog.storage.models import LlmOperation

__all__ = ["has_log", "translated"]

_LOG_FIRST = "Log a record through SQLLogHandler first, or give the connection that the handler has."
_CHECK_ALL = "Check the connection, the filters and any expression given as where."


def has_log(connection: sa.Connection, place: Place) -> bool:
    """Return whether our tables are there."""
    return sa.inspect(connection).has_table(LlmOperation.__tablename__, schema=place.schema)


def translated(exc: SQLAlchemyError, place: Place, log_is_there: bool) -> Exception:
    """Return what to raise for *exc*, met on reading *place*."""
    shown = str(place.sqlite_path) if place.is_sqlite else show_url(place.url)
    if place.is_sqlite and place.borrowed is None and not place.sqlite_path.exists():
        return LogNotFoundError(f"There is no log at {shown}: the file does not exist. {_LOG_FIRST}")
    if not log_is_there:
        return LogNotFoundError(f"There is no log in {shown}: it has no table llm_operations. {_LOG_FIRST}")
    fault = diagnose(exc)
    is_connecting = getattr(exc, "statement", None) is None
    remedy = (is_connecting and fault.remedy) or _CHECK_ALL
    return DatabaseError(f"Reading the log in {shown} failed: {fault.summary.rstrip('.')}. {remedy}")
