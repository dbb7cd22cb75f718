"""
Operations page by page, oldest first, in bounded memory: each page begins after the last row of the one before.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

import polars as pl
import sqlalchemy as sa

from aicore_sqllog.errors import DatabaseError
from aicore_sqllog.querying.columns import OPERATIONS
from aicore_sqllog.querying.execute import Question, aexecute, execute
from aicore_sqllog.querying.filters import Filters, LogFilter
from aicore_sqllog.querying.operations import Wanted

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["PagesArguments", "aiterate", "iterate", "pages"]

_KEY = ("timestamp", "operation_id")


class PagesArguments(Filters, total=False):
    """The named arguments of :func:`pages`, for those who hand them on; a test holds the two equal."""

    columns: Sequence[str] | None
    include_messages: bool
    decode_json: bool


class Key(NamedTuple):
    """Where a row stands in the order."""

    timestamp: datetime
    operation_id: str


@dataclass(frozen=True, slots=True)
class Pages:
    """What every page holds, and how many rows at most."""

    log_filter: LogFilter
    wanted: Wanted
    batch_rows: int

    def after(self, key: Key | None) -> Question[tuple[pl.DataFrame, Key | None]]:
        """Ask for the page after *key*; with it comes the key of its last row, None where no page follows."""
        select = self._first()
        frame = yield from self.wanted.fetch(select if key is None else select.where(_is_after(key)))
        last = _key_of(frame) if frame.height == self.batch_rows else None
        return self.wanted.trimmed(frame), last

    def describe(self) -> str:
        """Return the first page's SQL, for a person; the values stand in it as parameters."""
        return str(self._first())

    def _first(self) -> sa.Select[Any]:
        order = (OPERATIONS.c.timestamp, OPERATIONS.c.operation_id)
        return self.wanted.select(self.log_filter).order_by(*order).limit(self.batch_rows)


def pages(
    batch_rows: int = 50_000,
    *,
    columns: Sequence[str] | None = None,
    include_messages: bool = False,
    decode_json: bool = False,
    **filters: Unpack[Filters],
) -> Pages:
    """Return the pages of the operations that match; see ``LogReader.iter_operations``."""
    if isinstance(batch_rows, bool) or not isinstance(batch_rows, int) or batch_rows < 1:
        raise ValueError(f"batch_rows={batch_rows!r} cannot be right. Allowed: a number of rows from 1 on.")
    log_filter = LogFilter.of(filters, known_beside=[*PagesArguments.__annotations__, "batch_rows"])
    return Pages(log_filter, Wanted.of(columns, include_messages, decode_json, _KEY), batch_rows)


def iterate(asked: Pages, connect: Callable[[], AbstractContextManager[sa.Connection]]) -> Iterator[pl.DataFrame]:
    """Yield the frames of *asked*; no connection is held between two of them."""
    key: Key | None = None
    while True:
        frame, key = execute(asked.after(key), connect)
        if frame.height:
            yield frame
        if key is None:
            return


async def aiterate(
    asked: Pages, connect: Callable[[], AbstractAsyncContextManager["AsyncConnection"]]
) -> AsyncIterator[pl.DataFrame]:
    """Yield what :func:`iterate` yields, over asynchronous connections."""
    key: Key | None = None
    while True:
        frame, key = await aexecute(asked.after(key), connect)
        if frame.height:
            yield frame
        if key is None:
            return


def _key_of(frame: pl.DataFrame) -> Key:
    timestamp, operation_id = frame[-1].select(_KEY).row(0)
    if timestamp is None:
        raise DatabaseError(
            f"The operation {operation_id} has a timestamp that is none, which another program must have written: "
            "rows cannot be told apart by it. Correct it, or fetch all at once."
        )
    return Key(timestamp, operation_id)


def _is_after(key: Key) -> sa.ColumnElement[bool]:
    # Two comparisons, because MariaDB uses no index for that of two pairs.
    timestamp, operation_id = OPERATIONS.c.timestamp, OPERATIONS.c.operation_id
    is_later: Any = sa.or_(timestamp > key.timestamp, operation_id > key.operation_id)
    return sa.and_(timestamp >= key.timestamp, is_later)
