"""
The reader for an event loop: the methods of ``reader.py``, awaited.
"""

from collections.abc import AsyncIterator
from datetime import date, datetime
from types import TracebackType
from typing import Self, Unpack
from uuid import UUID

import polars as pl

from aicore_sqllog.querying import count, losses, messages, operations, pages, sessions, summary, timeseries, values
from aicore_sqllog.querying.execute import aexecute
from aicore_sqllog.querying.filters import Filters
from aicore_sqllog.querying.groups import By
from aicore_sqllog.querying.messages import MessagesArguments
from aicore_sqllog.querying.operations import OperationsArguments
from aicore_sqllog.querying.pages import PagesArguments
from aicore_sqllog.querying.reader_cache import ReaderCache
from aicore_sqllog.querying.sessions import SessionsArguments
from aicore_sqllog.querying.signature import shows_arguments_of
from aicore_sqllog.querying.source import AsyncSource
from aicore_sqllog.querying.summary import SummaryArguments
from aicore_sqllog.querying.timeseries import TimeseriesArguments
from aicore_sqllog.storage.connection import ASYNC_FIRST, Connection, Place, resolve

__all__ = ["AsyncLogReader", "apolars_from_db"]


class AsyncLogReader:
    """
    :class:`LogReader` for an event loop: the same methods, awaited. Use it with ``async with``.

    Its default looks at ``$ASYNC_CONNECTION_STRING`` first. It keeps no connection between
    questions, so nothing of it outlives the loop.
    """

    def __init__(self, connection: Connection | None = None, schema: str | None = None) -> None:
        self._source = AsyncSource(resolve(connection, ASYNC_FIRST, schema))

    @shows_arguments_of(operations.operations)
    async def operations(self, **arguments: Unpack[OperationsArguments]) -> pl.DataFrame:
        """Return the operations that match; see :meth:`LogReader.operations`."""
        return await aexecute(operations.operations(**arguments), self._source.connect)

    @shows_arguments_of(count.count)
    async def count(self, **filters: Unpack[Filters]) -> int:
        """Return how many operations match."""
        return await aexecute(count.count(**filters), self._source.connect)

    @shows_arguments_of(pages.pages)
    def iter_operations(
        self, batch_rows: int = 50_000, **arguments: Unpack[PagesArguments]
    ) -> AsyncIterator[pl.DataFrame]:
        """See :meth:`LogReader.iter_operations`; for ``async for``."""
        return pages.aiterate(pages.pages(batch_rows, **arguments), self._source.connect)

    @shows_arguments_of(messages.messages)
    async def messages(self, **arguments: Unpack[MessagesArguments]) -> pl.DataFrame:
        """See :meth:`LogReader.messages`."""
        return await aexecute(messages.messages(**arguments), self._source.connect)

    async def conversation(self, session_id: str | UUID) -> pl.DataFrame:
        """See :meth:`LogReader.conversation`."""
        return await aexecute(messages.conversation(session_id), self._source.connect)

    @shows_arguments_of(sessions.sessions)
    async def sessions(self, **arguments: Unpack[SessionsArguments]) -> pl.DataFrame:
        """See :meth:`LogReader.sessions`."""
        return await aexecute(sessions.sessions(**arguments), self._source.connect)

    @shows_arguments_of(summary.summary)
    async def summary(self, by: By = None, **arguments: Unpack[SummaryArguments]) -> pl.DataFrame:
        """See :meth:`LogReader.summary`."""
        return await aexecute(summary.summary(self._source.dialect, by, **arguments), self._source.connect)

    @shows_arguments_of(timeseries.timeseries)
    async def timeseries(
        self, every: str = "1d", by: By = None, **arguments: Unpack[TimeseriesArguments]
    ) -> pl.DataFrame:
        """See :meth:`LogReader.timeseries`."""
        asked = timeseries.timeseries(self._source.dialect, every, by, **arguments)
        return await aexecute(asked, self._source.connect)

    @shows_arguments_of(values.values)
    async def values(self, column: str | tuple[str | int, ...], **filters: Unpack[Filters]) -> list[str | None]:
        """See :meth:`LogReader.values`."""
        return await aexecute(values.values(column, **filters), self._source.connect)

    async def losses(
        self, start_date: str | date | datetime | None = None, end_date: str | date | datetime | None = None
    ) -> pl.DataFrame:
        """See :meth:`LogReader.losses`."""
        return await aexecute(losses.losses(start_date, end_date), self._source.connect)

    async def close(self) -> None:
        """Close the connections that are ours."""
        await self._source.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


@shows_arguments_of(operations.operations)
async def apolars_from_db(
    connection: Connection | None = None, *, schema: str | None = None, **arguments: Unpack[OperationsArguments]
) -> pl.DataFrame:
    """Return what :func:`polars_from_db` returns, without blocking the event loop."""
    return await _ASYNC_READERS.get(resolve(connection, ASYNC_FIRST, schema)).operations(**arguments)


def _make(place: Place) -> AsyncLogReader:
    return AsyncLogReader(place.url if place.borrowed is None else place.borrowed, place.schema)


# A reader keeps no connection that had to be closed.
_ASYNC_READERS = ReaderCache(_make, lambda reader: None)
