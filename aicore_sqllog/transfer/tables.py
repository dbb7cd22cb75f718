"""
The tables as an export holds them: every column under its own name, with the types of the reader's frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import polars as pl
import sqlalchemy as sa

from aicore_sqllog.querying.columns import FrameColumn
from aicore_sqllog.querying.frames import typed_frame
from aicore_sqllog.record import columns
from aicore_sqllog.record.columns import Column, ColumnKind
from aicore_sqllog.storage.models import Base, LlmLogLoss, LlmMessage, LlmOperation, LlmSession

__all__ = ["LOSSES", "MESSAGES", "OPERATIONS", "SESSIONS", "TABLES", "ExportedTable"]

_CONTENT = frozenset({ColumnKind.TEXT, ColumnKind.JSON})


@dataclass(frozen=True)
class ExportedTable:
    """One table: how its rows are selected, and the frame that they become."""

    model: type[Base]
    columns: tuple[Column, ...]

    @property
    def table(self) -> sa.Table:
        """The table itself."""
        return cast(sa.Table, self.model.__table__)

    @property
    def name(self) -> str:
        """What the database calls it."""
        return str(self.table.name)

    @property
    def key(self) -> sa.Column[Any]:
        """The primary key."""
        return self.table.c[self.columns[0].name]

    @property
    def schema(self) -> pl.Schema:
        """The types of the frame, by column."""
        return self.frame([]).schema

    def selected(self, source: sa.FromClause, *, with_content: bool) -> list[sa.ColumnElement[Any]]:
        """
        Return what to select from *source*, the table or an alias of it.

        Without content, every column that holds texts or documents is NULL: what was said is not even read.
        """
        chosen: list[sa.ColumnElement[Any]] = []
        for column in self.columns:
            is_withheld = column.kind in _CONTENT and not with_content
            stored = source.c[column.name]
            found = sa.null() if is_withheld else FrameColumn(column.kind, cast("sa.Column[Any]", stored)).selected()
            chosen.append(found.label(column.name))
        return chosen

    def frame(self, rows: Sequence[Sequence[Any]]) -> pl.DataFrame:
        """Return the frame of *rows*, which were selected as :meth:`selected` says."""
        return typed_frame(rows, {column.name: column.kind for column in self.columns})


SESSIONS = ExportedTable(LlmSession, columns.SESSIONS)
OPERATIONS = ExportedTable(LlmOperation, columns.OPERATIONS)
MESSAGES = ExportedTable(LlmMessage, columns.MESSAGES)
LOSSES = ExportedTable(LlmLogLoss, columns.LOSSES)

TABLES = {table.name: table for table in (SESSIONS, OPERATIONS, MESSAGES, LOSSES)}
"""By name, in the order in which they are filled: parents first."""
