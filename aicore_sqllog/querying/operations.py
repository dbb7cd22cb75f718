"""
The question for operations, one row each, with their messages where they are wanted.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Unpack

import polars as pl
import sqlalchemy as sa

from aicore_sqllog.querying.columns import FRAME_COLUMNS, MESSAGE_COLUMNS, MESSAGES
from aicore_sqllog.querying.conditions import matching
from aicore_sqllog.querying.execute import FrameOf, Question
from aicore_sqllog.querying.filters import Filters, LogFilter, nearest
from aicore_sqllog.querying.frames import decoded, typed_frame, with_messages, with_ties_in_order
from aicore_sqllog.querying.ordering import checked_limit, checked_order
from aicore_sqllog.record.columns import ColumnKind

__all__ = ["OperationsArguments", "Wanted", "in_order", "operations"]

_OPERATIONS_A_LOOKUP = 500
_MESSAGE_KINDS = {name: column.kind for name, column in MESSAGE_COLUMNS.items()}
_SORTABLE = [name for name, column in FRAME_COLUMNS.items() if column.kind is not ColumnKind.JSON]


class OperationsArguments(Filters, total=False):
    """The arguments of :func:`operations`, for those who hand them on; a test holds the two equal."""

    columns: Sequence[str] | None
    include_messages: bool
    decode_json: bool
    order_by: str
    descending: bool
    limit: int | None


def operations(
    *,
    columns: Sequence[str] | None = None,
    include_messages: bool = False,
    decode_json: bool = False,
    order_by: str = "timestamp",
    descending: bool = False,
    limit: int | None = None,
    **filters: Unpack[Filters],
) -> Question[pl.DataFrame]:
    """Ask for the operations that match; what the arguments mean is said at ``LogReader.operations``."""
    wanted = Wanted.of(columns, include_messages, decode_json)
    log_filter = LogFilter.of(filters, known_beside=OperationsArguments.__annotations__)
    order = in_order(checked_order(order_by, _SORTABLE), descending)
    select = wanted.select(log_filter)
    if limit is None and order_by == "timestamp" and {"timestamp", "operation_id"} <= set(wanted.fetched):
        # An index has them in this order, and few are equal in it: a second key has SQLite sort each row.
        select = select.order_by(next(order))
        return wanted.trimmed((yield from wanted.fetch(select, partial(with_ties_in_order, descending=descending))))
    return wanted.trimmed((yield from wanted.fetch(select.order_by(*order).limit(checked_limit(limit)))))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a frame of operations is to hold."""

    columns: Sequence[str]
    include_messages: bool
    decode_json: bool
    needed: Sequence[str] = ()
    """Columns that are fetched too, for what is done with the rows."""

    @classmethod
    def of(
        cls,
        columns: Sequence[str] | None,
        include_messages: bool,
        decode_json: bool = False,
        needed: Sequence[str] = (),
    ) -> "Wanted":
        """Check *columns*; a ValueError names the nearest that there is."""
        names = _check_columns(columns)
        # A Select of no column is an error on most databases.
        return cls(
            names, include_messages, decode_json, needed or (["operation_id"] if include_messages or not names else [])
        )

    @property
    def fetched(self) -> list[str]:
        """Return the columns that are fetched."""
        return list(dict.fromkeys([*self.columns, *self.needed]))

    @property
    def kinds(self) -> dict[str, ColumnKind]:
        """Return what each of these holds."""
        return {name: FRAME_COLUMNS[name].kind for name in self.fetched}

    def select(self, log_filter: LogFilter) -> sa.Select[Any]:
        """Return the Select of the operations that match."""
        return matching(sa.select(*(FRAME_COLUMNS[name].selected().label(name) for name in self.fetched)), log_filter)

    def fetch(
        self, select: sa.Select[Any], ordered: Callable[[pl.DataFrame], pl.DataFrame] | None = None
    ) -> Question[pl.DataFrame]:
        """Ask for the rows of *select*, which *ordered* brings in order, and for their messages if they are wanted."""
        found = yield FrameOf(select, self.kinds)
        found = found if ordered is None else ordered(found)
        frame = decoded(found) if self.decode_json else found
        if not self.include_messages:
            return frame
        parts = [typed_frame([], _MESSAGE_KINDS)]
        for ids in _batches(frame["operation_id"].to_list()):
            parts.append((yield FrameOf(_messages_select(ids), _MESSAGE_KINDS)))  # noqa: PERF401  # no list waits
        return with_messages(frame, pl.concat(parts))

    def empty(self) -> pl.DataFrame:
        """Return the frame without a row."""
        return self.trimmed(typed_frame([], self.kinds))

    def trimmed(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return *frame* without what was fetched besides."""
        return frame.select(*self.columns, *(["messages"] if self.include_messages else []))


def _messages_select(operation_ids: Sequence[str]) -> sa.Select[Any]:
    select = sa.select(*(column.selected().label(name) for name, column in MESSAGE_COLUMNS.items()))
    return select.where(MESSAGES.c.operation_id.in_(operation_ids)).order_by(
        MESSAGES.c.operation_id, MESSAGES.c.sequence_number
    )


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), _OPERATIONS_A_LOOKUP):
        yield ids[start : start + _OPERATIONS_A_LOOKUP]


def in_order(name: str, descending: bool) -> Iterator[sa.ColumnElement[Any]]:
    """Yield the order by column *name*, then by ``operation_id``; NULLs last, or first where *descending*."""
    for column in (FRAME_COLUMNS[key] for key in dict.fromkeys((name, "operation_id"))):
        keys = (column.column.is_(None), column.sorted()) if column.column.nullable else (column.sorted(),)
        yield from (key.desc() if descending else key.asc() for key in keys)


def _check_columns(columns: Sequence[str] | None) -> list[str]:
    if columns is None:
        return list(FRAME_COLUMNS)
    if isinstance(columns, str):
        raise ValueError(f"columns={columns!r} cannot be right. Allowed: a sequence of names, such as [{columns!r}].")
    for name in columns:
        if name not in FRAME_COLUMNS:
            raise ValueError(f"columns: there is no column {name!r}.{nearest(str(name), FRAME_COLUMNS)}")
    return list(dict.fromkeys(columns))
