"""
What a reader raises in the place of SQLAlchemy's errors: ours, with what to do, and without anybody's prompts.
"""

from enum import Enum
from typing import assert_never

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from aicore_sqllog.errors import DatabaseError, LogNotFoundError, SchemaError, SQLLogError
from aicore_sqllog.querying.columns import MESSAGES, OPERATIONS, SESSIONS
from aicore_sqllog.storage.connection import Place, show_url
from aicore_sqllog.storage.faults import diagnose

__all__ = ["LogState", "state_of_log", "translated"]

_LOG_FIRST = "Log a record through SQLLogHandler first, or give the connection that the handler has."
_CHECK_ALL = "Check the connection, the filters and any expression given as where."


class LogState(Enum):
    """What stands where the log should be."""

    MISSING = "missing"
    OUTDATED = "outdated"
    """Our tables as an earlier revision made them."""
    CURRENT = "current"


def state_of_log(connection: sa.Connection) -> LogState:
    """Return whether our tables are there, and have every column that this version selects."""
    schema = (connection.get_execution_options().get("schema_translate_map") or {}).get(None)
    inspector = sa.inspect(connection)
    if not inspector.has_table(OPERATIONS.name, schema=schema):
        return LogState.MISSING
    for table in (SESSIONS, OPERATIONS, MESSAGES):
        stored = inspector.has_table(table.name, schema=schema) and inspector.get_columns(table.name, schema=schema)
        if not set(table.columns.keys()) <= {column["name"] for column in stored or ()}:
            return LogState.OUTDATED
    return LogState.CURRENT


def translated(exc: SQLAlchemyError, place: Place, state: LogState) -> SQLLogError:
    """Return what to raise for *exc*, met on reading *place*, where the log is in *state*."""
    shown = str(place.sqlite_path) if place.is_sqlite else show_url(place.url)
    if place.is_sqlite and place.borrowed is None and not place.sqlite_path.exists():
        return LogNotFoundError(f"There is no log at {shown}: the file does not exist. {_LOG_FIRST}")
    match state:
        case LogState.MISSING:
            return LogNotFoundError(f"There is no log in {shown}: it has no table llm_operations. {_LOG_FIRST}")
        case LogState.OUTDATED:
            return SchemaError(
                f"Reading the log in {shown} failed: its tables are older than this version of aicore-sqllog. "
                f"Run `aicore-sqllog upgrade --connection {show_url(place.url)}`, "
                "or log a record through SQLLogHandler, which upgrades them."
            )
        case LogState.CURRENT:
            fault = diagnose(exc)
            is_connecting = getattr(exc, "statement", None) is None
            remedy = (is_connecting and fault.remedy) or _CHECK_ALL
            return DatabaseError(f"Reading the log in {shown} failed: {fault.summary.rstrip('.')}. {remedy}")
        case _:
            assert_never(state)
