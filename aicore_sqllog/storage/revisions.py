"""
Which revision the tables in a database are at, told by the version table or by their columns. Only looks.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from aicore_sqllog.errors import SchemaError
from aicore_sqllog.record.columns import COLUMNS
from aicore_sqllog.storage.models import metadata

__all__ = ["DOCUMENTED", "HEAD", "REVISIONS", "VERSION_TABLE", "Found", "columns_of", "look", "refuse_unusable"]

REVISIONS = ("0001", "0002", "0003")
HEAD = REVISIONS[-1]

VERSION_TABLE = "aicore_sqllog_version"
"""Our own: the database's owner may use Alembic too, whose table is ``alembic_version``."""

DOCUMENTED: Mapping[str, frozenset[str]] = {
    "llm_sessions": frozenset({"session_id", "workspace", "agent_id", "created_at", "metadata"}),
    "llm_operations": frozenset(
        {"operation_id", "session_id", "action_id", "timestamp", "operation_type", "provider", "model"}
        | {"input_tokens", "output_tokens", "latency_ms", "cost", "status", "error_message", "extras"}
    ),
    "llm_messages": frozenset({"message_id", "operation_id", "role", "content", "sequence_number"}),
}
"""The columns of revision 0001."""

_ADDED: Mapping[str, frozenset[str]] = {
    "llm_log_losses": frozenset({"loss_id", "reason", "count", "bytes", "first_at", "last_at", "host", "process_id"}),
}
"""The tables of later revisions, with the columns that each had when it came."""


@dataclass(frozen=True, slots=True)
class Found:
    """
    What is known of the tables: the revision that the version table holds, and the one that their columns show.

    A revision that adds no column is shown as soon as the one before is: only the version table tells the two apart.
    The columns of a later revision show nothing to this version.
    """

    stamped: str | None
    shown: str | None

    @property
    def revision(self) -> str | None:
        """The revision; None if there are no tables, or not all of them."""
        return self.stamped or self.shown

    @property
    def is_later(self) -> bool:
        """Whether a later version of this package made them."""
        return self.stamped is not None and self.stamped not in REVISIONS


def look(connection: sa.Connection, schema: str | None) -> Found:
    """
    Return what there is.

    Raises:
        SchemaError: If tables of some other program have our names.
    """
    inspector = sa.inspect(connection)
    stamped = None
    if inspector.has_table(VERSION_TABLE, schema=schema):
        version = sa.table(VERSION_TABLE, sa.column("version_num", sa.String), schema=schema)
        if not _has_columns(inspector, VERSION_TABLE, schema, {"version_num"}):
            raise _not_ours(VERSION_TABLE, ["version_num"])
        stamped = connection.scalar(sa.select(version.c.version_num))
    if stamped is not None and stamped not in REVISIONS:
        return Found(stamped, None)
    return Found(stamped, _recognise(_columns_of_ours(inspector, schema)))


def refuse_unusable(connection: sa.Connection, schema: str | None, revision: str) -> str:
    """
    Return what to tell a person about tables of a later version that can be written to.

    Raises:
        SchemaError: If they cannot: a column of ours is gone, or a new one must be filled.
    """
    inspector = sa.inspect(connection)
    told = f"The tables are at revision {revision}, which is later than this version's {HEAD}"
    for table, columns in _columns_of_models().items():
        found = {column["name"]: column for column in inspector.get_columns(table, schema=schema)}
        gone = sorted(columns - found.keys())
        needed = [
            name
            for name, column in found.items()
            if name not in columns and not column["nullable"] and column.get("default") is None
        ]
        if gone or needed:
            what = f"lacks {gone}" if gone else f"needs values for {needed}"
            raise SchemaError(f"{told}: {table} {what}. Upgrade aicore-sqllog to a version that knows it.")
    return f"{told}; they only add to it, so records are written. Upgrade aicore-sqllog when you can."


def _recognise(found: Mapping[str, set[str]]) -> str | None:
    for table, columns in found.items():
        missing = sorted({**DOCUMENTED, **_ADDED}[table] - columns)
        if missing:
            raise _not_ours(table, missing)
    if not DOCUMENTED.keys() <= found.keys():
        return None
    there = {(table, name) for table, columns in found.items() for name in columns}
    return max(revision for revision in REVISIONS if columns_of(revision) <= there)


def columns_of(revision: str) -> set[tuple[str, str]]:
    """Return table and name of each column that *revision* has."""
    return {(column.table, column.name) for column in COLUMNS if column.revision <= revision}


def _not_ours(table: str, missing: list[str]) -> SchemaError:
    return SchemaError(
        f"The table {table} is not ours: it lacks {missing}. Give the log a database or a schema of its own."
    )


def _has_columns(inspector: sa.Inspector, table: str, schema: str | None, names: set[str]) -> bool:
    return names <= {column["name"] for column in inspector.get_columns(table, schema=schema)}


def _columns_of_ours(inspector: sa.Inspector, schema: str | None) -> dict[str, set[str]]:
    return {
        table: {column["name"] for column in inspector.get_columns(table, schema=schema)}
        for table in _columns_of_models()
        if inspector.has_table(table, schema=schema)
    }


def _columns_of_models() -> dict[str, set[str]]:
    return {table.name: {column.name for column in table.columns} for table in metadata.sorted_tables}
