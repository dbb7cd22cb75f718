"""
A question about operations, from its arguments to its frame: what a reader executes and nothing else.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import sqlalchemy as sa

from aicore_sqllog.querying.filters import LogFilter
from aicore_sqllog.querying.frames import message_frame, operation_frame, with_messages
from aicore_sqllog.querying.select import (
    check_columns,
    check_limit,
    check_order,
    messages_select,
    operations_select,
)

__all__ = ["OperationsQuestion"]

_OPERATIONS_A_LOOKUP = 500


@dataclass(frozen=True, slots=True)
class OperationsQuestion:
    """What is asked; arguments are checked when it is made, so a wrong one costs no connection."""

    select: sa.Select[Any]
    columns: tuple[str, ...]
    fetched: tuple[str, ...]
    include_messages: bool
    decode_json: bool

    @classmethod
    def of(
        cls,
        filters: Mapping[str, Any],
        *,
        columns: Sequence[str] | None,
        include_messages: bool,
        decode_json: bool,
        order_by: str,
        descending: bool,
        limit: int | None,
    ) -> "OperationsQuestion":
        """Return the question; TypeError or ValueError names the argument that cannot be right."""
        wanted = check_columns(columns)
        fetched = wanted
        if include_messages and "operation_id" not in wanted:
            fetched = [*wanted, "operation_id"]
        select = operations_select(
            LogFilter.of(filters), fetched, check_order(order_by), descending, check_limit(limit)
        )
        return cls(select, tuple(wanted), tuple(fetched), include_messages, decode_json)

    def message_selects(self, rows: Sequence[Sequence[Any]]) -> Iterator[sa.Select[Any]]:
        """Yield the Selects of the messages of the operations found: by their ids, some hundred at a time."""
        if not self.include_messages:
            return
        ids = [row[self.fetched.index("operation_id")] for row in rows]
        for start in range(0, len(ids), _OPERATIONS_A_LOOKUP):
            yield messages_select(ids[start : start + _OPERATIONS_A_LOOKUP])

    def frame(self, rows: Sequence[Sequence[Any]], messages: Sequence[Sequence[Any]]) -> pl.DataFrame:
        """Return the answer."""
        frame = operation_frame(rows, self.fetched, decode_json=self.decode_json)
        if not self.include_messages:
            return frame
        return with_messages(frame, message_frame(messages)).select(*self.columns, "messages")
