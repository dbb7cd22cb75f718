"""
Rows of an export into a table, those that are stored already left as they are, in transactions of a bounded size.
"""

from collections.abc import Sequence
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from aicore_sqllog.errors import DatabaseError, TransferError
from aicore_sqllog.record.columns import ColumnKind
from aicore_sqllog.storage.dialects.lookup import dialect_of
from aicore_sqllog.storage.faults import Kind, diagnose, without_values
from aicore_sqllog.storage.types import EncodedJson
from aicore_sqllog.transfer.tables import OPERATIONS, SESSIONS, ExportedTable
from aicore_sqllog.writing.chunks import chunks
from aicore_sqllog.writing.destination import Destination, NoRecordInvolvedError

__all__ = ["Inserter"]

_ROWS = 2_000
"""In a transaction at most."""

_BYTES = 4 * 1024**2
"""The same, about, where rows are large."""

_TRIES = 5
_OF_A_ROW = frozenset({Kind.POISON, Kind.OVERSIZE})


class Inserter:
    """Inserts rows into one database, which is made ready before the first."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination

    def insert(self, table: ExportedTable, frame: pl.DataFrame) -> int:
        """
        Insert the rows of *frame* whose key is not stored; return how many these were.

        Raises:
            TransferError: If the database refuses a row; the message names it.
            DatabaseError: If the database refuses all.
        """
        rows = max(1, min(_ROWS, int(frame.height * _BYTES / max(1, frame.estimated_size()))))
        return sum(self._insert(table, part) for part in frame.iter_slices(rows))

    def _insert(self, table: ExportedTable, frame: pl.DataFrame) -> int:
        for attempt in range(1, _TRIES + 1):
            try:
                return self._destination.run(lambda connection: _insert_missing(connection, table, frame))
            except NoRecordInvolvedError as exc:
                failure: BaseException = exc.__cause__ or exc
                kind = diagnose(failure).kind
            except SQLAlchemyError as exc:
                failure, kind = exc, diagnose(exc).kind
                if kind is Kind.TRANSIENT and self._destination.answers():
                    kind = Kind.OVERSIZE  # a statement that is too large looks like a server that is gone
                if kind in _OF_A_ROW:
                    break
            if kind is not Kind.CONTENTION or attempt == _TRIES:
                raise DatabaseError(f"Nothing more can be imported: {diagnose(failure)}") from _safe(failure)
        if frame.height > 1:
            middle = frame.height // 2
            return self._insert(table, frame[:middle]) + self._insert(table, frame[middle:])
        raise TransferError(
            f"The database refuses the row {frame[0, 0]} of {table.name}: {diagnose(failure)} "
            "All rows before it are imported; correct the cause and import again."
        ) from _safe(failure)


def _safe(failure: BaseException) -> BaseException:
    return without_values(failure)


def _insert_missing(connection: sa.Connection, table: ExportedTable, frame: pl.DataFrame) -> int:
    fresh = frame.filter(~pl.col(table.key.name).is_in(_stored(connection, table, frame[:, 0].to_list())))
    if fresh.is_empty():
        return 0
    if table is OPERATIONS:
        _insert(connection, SESSIONS, _sessions_in_need(connection, fresh))
    _insert(connection, table, fresh)
    return fresh.height


def _stored(connection: sa.Connection, table: ExportedTable, keys: Sequence[str]) -> list[str]:
    found: list[str] = []
    for part in chunks(keys):
        found.extend(str(key) for key in connection.scalars(sa.select(table.key).where(table.key.in_(part))))
    return found


def _sessions_in_need(connection: sa.Connection, operations: pl.DataFrame) -> pl.DataFrame:
    """Return rows for the sessions that are missing, as where they were deleted while the export was made."""
    named = operations.group_by("session_id").agg(pl.col("timestamp").min().alias("created_at"))
    missing = named.filter(~pl.col("session_id").is_in(_stored(connection, SESSIONS, named["session_id"].to_list())))
    return missing.match_to_schema(SESSIONS.schema, missing_columns="insert")


def _insert(connection: sa.Connection, table: ExportedTable, frame: pl.DataFrame) -> None:
    if frame.is_empty():
        return
    fast_insert = dialect_of(connection).fast_insert(connection)
    if fast_insert is not None:
        fast_insert(connection, table.table, frame.rows())
        return
    documents = [column.name for column in table.columns if column.kind is ColumnKind.JSON]
    rows: list[dict[str, Any]] = frame.rows(named=True)
    for row in rows:
        row.update((name, EncodedJson(row[name])) for name in documents if row[name] is not None)
    connection.execute(sa.insert(table.table), rows)
