"""
The read door: questions are built and answered by pure functions; the readers only execute them.
"""

import atexit
import os
import weakref
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from aicore_sqllog.errors import DatabaseError, LogNotFoundError
from aicore_sqllog.querying.filters import Filters, LogFilter
from aicore_sqllog.querying.question import OperationsQuestion
from aicore_sqllog.querying.select import count_select
from aicore_sqllog.storage.connection import ASYNC_FIRST, SYNC_FIRST, Connection, Place, resolve, show_url
from aicore_sqllog.storage.engines import async_reader_engine, reader_engine
from aicore_sqllog.storage.faults import diagnose, without_values
from aicore_sqllog.storage.models import LlmOperation

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

__all__ = ["AsyncLogReader", "LogReader", "apolars_from_db", "polars_from_db"]

_READERS_KEPT = 16


class LogReader:
    """
    Reads what was logged, as Polars frames, filtered and ordered in the database.

    It never creates a file or a table. Use it with ``with``, or call :meth:`close`.

    Args:
        connection: Where the log lives: a SQLAlchemy URL, or an engine, which is borrowed and
            never closed here. Default: ``$CONNECTION_STRING``, then ``$ASYNC_CONNECTION_STRING``,
            then the file ``aicore_sqllog.db`` in the current folder.

        schema: The database schema of the tables, where it is not the default one.

    Raises:
        ConfigurationError: If the connection cannot work.
    """

    def __init__(self, connection: Connection | None = None, schema: str | None = None) -> None:
        self._place = resolve(connection, SYNC_FIRST, schema)
        self._engine: Engine | None = None
        _LIVE.add(self)

    def operations(
        self,
        *,
        columns: Sequence[str] | None = None,
        include_messages: bool = False,
        decode_json: bool = False,
        order_by: str = "timestamp",
        descending: bool = False,
        limit: int | None = None,
        **filters: Unpack[Filters],
    ) -> pl.DataFrame:
        """
        Return the operations that match, one row each, oldest first.

        Filters combine with *and*; one that is left out, or ``None``, is not applied. When nothing
        matches, the frame is empty but keeps every column and its type.

        Args:
            columns: Which columns, in which order; all where it is left out.

            include_messages: Add ``messages``: a list of role, content, parts (JSON text) and
                sequence_number for each operation.

            decode_json: Give JSON columns as Python objects instead of text.

            order_by: A column; rows that are equal in it come in the order of ``operation_id``.

            descending: Exactly the other way round.

            limit: At most so many rows.

            filters: ``start_date`` is inclusive; ``end_date`` includes the whole day if it is a
                date alone, and is exclusive if it is a datetime; a naive one is UTC. Of
                ``session_id workspace agent_id user_id action_id operation_id
                parent_operation_id operation_type provider model response_model status
                error_type finish_reason`` a sequence means *one of*, and ``None`` in it NULL.
                ``min_``/``max_``: ``tokens`` (input and output), ``input_tokens``,
                ``output_tokens``, ``latency`` (milliseconds), ``cost``. ``where``: SQLAlchemy
                expressions over ``LlmOperation`` and ``LlmSession``.

        Returns:
            Every column of ``llm_operations``, then ``session_key`` and ``session_metadata``. Ids
            are ``String``, times ``Datetime("us", "UTC")``, counts and latency ``Int64``, cost
            ``Float64``, JSON ``String``.

        Raises:
            TypeError: If a filter is unknown.
            ValueError: If a value cannot be right.
            LogNotFoundError: If there is no such file, or none of our tables in it.
            DatabaseError: If the database refuses.
        """
        question = OperationsQuestion.of(
            filters,
            columns=columns,
            include_messages=include_messages,
            decode_json=decode_json,
            order_by=order_by,
            descending=descending,
            limit=limit,
        )
        with self._connection() as connection:
            rows = connection.execute(question.select).all()
            messages: list[Any] = []
            for select in question.message_selects(rows):
                messages.extend(connection.execute(select).all())
        return question.frame(rows, messages)

    def count(self, **filters: Unpack[Filters]) -> int:
        """Return how many operations match; filters and errors as in :meth:`operations`."""
        select = count_select(LogFilter.of(filters))
        with self._connection() as connection:
            return int(connection.execute(select).scalar_one())

    def close(self) -> None:
        """Close the connections that are ours. A later question opens new ones."""
        engine, self._engine = self._engine, None
        if engine is not None and self._place.borrowed is None:
            engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _connection(self) -> Iterator[sa.Connection]:
        if self._engine is None:
            self._engine = reader_engine(self._place)
        try:
            with self._engine.connect() as connection:
                yield connection
        except SQLAlchemyError as exc:
            raise _translated(exc, self._place, self._has_log()) from without_values(exc)

    def _has_log(self) -> bool:
        assert self._engine is not None
        try:
            with self._engine.connect() as connection:
                return _has_tables(connection, self._place)
        except SQLAlchemyError:
            return True  # what is wrong is more than a missing table; the first error says it


class AsyncLogReader:
    """
    :class:`LogReader` for an event loop: the same methods, awaited. Use it with ``async with``.

    Its default looks at ``$ASYNC_CONNECTION_STRING`` first. It keeps no connection between
    questions, so nothing of it outlives the loop.
    """

    def __init__(self, connection: Connection | None = None, schema: str | None = None) -> None:
        self._place = resolve(connection, ASYNC_FIRST, schema)
        self._engine: AsyncEngine | None = None

    async def operations(
        self,
        *,
        columns: Sequence[str] | None = None,
        include_messages: bool = False,
        decode_json: bool = False,
        order_by: str = "timestamp",
        descending: bool = False,
        limit: int | None = None,
        **filters: Unpack[Filters],
    ) -> pl.DataFrame:
        """Return the operations that match; see :meth:`LogReader.operations`."""
        question = OperationsQuestion.of(
            filters,
            columns=columns,
            include_messages=include_messages,
            decode_json=decode_json,
            order_by=order_by,
            descending=descending,
            limit=limit,
        )
        async with self._connection() as connection:
            rows = (await connection.execute(question.select)).all()
            messages: list[Any] = []
            for select in question.message_selects(rows):
                messages.extend((await connection.execute(select)).all())
        return question.frame(rows, messages)

    async def count(self, **filters: Unpack[Filters]) -> int:
        """Return how many operations match."""
        select = count_select(LogFilter.of(filters))
        async with self._connection() as connection:
            return int((await connection.execute(select)).scalar_one())

    async def close(self) -> None:
        """Close the connections that are ours."""
        engine, self._engine = self._engine, None
        if engine is not None and self._place.borrowed is None:
            await engine.dispose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator["AsyncConnection"]:
        if self._engine is None:
            self._engine = async_reader_engine(self._place)
        try:
            async with self._engine.connect() as connection:
                yield connection
        except SQLAlchemyError as exc:
            raise _translated(exc, self._place, await self._has_log()) from without_values(exc)

    async def _has_log(self) -> bool:
        assert self._engine is not None
        try:
            async with self._engine.connect() as connection:
                return await connection.run_sync(_has_tables, self._place)
        except SQLAlchemyError:
            return True


def polars_from_db(
    connection: Connection | None = None,
    *,
    schema: str | None = None,
    columns: Sequence[str] | None = None,
    include_messages: bool = False,
    decode_json: bool = False,
    order_by: str = "timestamp",
    descending: bool = False,
    limit: int | None = None,
    **filters: Unpack[Filters],
) -> pl.DataFrame:
    """
    Return logged LLM operations as a DataFrame, one row each, oldest first, in one call.

    The engine is kept for the next call with the same connection. Arguments, frame and errors
    are those of :meth:`LogReader.operations`.

    Example:
        >>> polars_from_db(provider="openai", min_tokens=100)
    """
    reader = _reader_of(resolve(connection, SYNC_FIRST, schema))
    return reader.operations(
        columns=columns,
        include_messages=include_messages,
        decode_json=decode_json,
        order_by=order_by,
        descending=descending,
        limit=limit,
        **filters,
    )


async def apolars_from_db(
    connection: Connection | None = None,
    *,
    schema: str | None = None,
    columns: Sequence[str] | None = None,
    include_messages: bool = False,
    decode_json: bool = False,
    order_by: str = "timestamp",
    descending: bool = False,
    limit: int | None = None,
    **filters: Unpack[Filters],
) -> pl.DataFrame:
    """Return what :func:`polars_from_db` returns, without blocking the event loop."""
    reader = _async_reader_of(resolve(connection, ASYNC_FIRST, schema))
    return await reader.operations(
        columns=columns,
        include_messages=include_messages,
        decode_json=decode_json,
        order_by=order_by,
        descending=descending,
        limit=limit,
        **filters,
    )


_KEPT: "OrderedDict[Place, LogReader]" = OrderedDict()
_KEPT_ASYNC: "OrderedDict[Place, AsyncLogReader]" = OrderedDict()


def _reader_of(place: Place) -> LogReader:
    if place.borrowed is not None:
        return LogReader(place.borrowed, place.schema)
    reader = _KEPT.get(place) or _KEPT.setdefault(place, LogReader(place.url, place.schema))
    while len(_KEPT) > _READERS_KEPT:
        _KEPT.popitem(last=False)[1].close()
    return reader


def _async_reader_of(place: Place) -> AsyncLogReader:
    if place.borrowed is not None:
        return AsyncLogReader(place.borrowed, place.schema)
    while len(_KEPT_ASYNC) >= _READERS_KEPT:
        _KEPT_ASYNC.popitem(last=False)  # it keeps no connection that had to be closed
    return _KEPT_ASYNC.get(place) or _KEPT_ASYNC.setdefault(place, AsyncLogReader(place.url, place.schema))


_LIVE: "weakref.WeakSet[LogReader]" = weakref.WeakSet()


def _forget_connections() -> None:
    """In a forked child, leave the readers' connections to the parent, which still uses them."""
    for reader in list(_LIVE):
        engine, reader._engine = reader._engine, None
        if engine is not None and reader._place.borrowed is None:
            engine.dispose(close=False)


@atexit.register
def _close_all() -> None:
    for reader in list(_LIVE):
        reader.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_connections)


def _has_tables(connection: sa.Connection, place: Place) -> bool:
    return sa.inspect(connection).has_table(LlmOperation.__tablename__, schema=place.schema)


def _translated(exc: SQLAlchemyError, place: Place, has_log: bool) -> Exception:
    shown = str(place.sqlite_path) if place.is_sqlite else show_url(place.url)
    remedy = "Log a record through SQLLogHandler first, or give the connection that the handler has."
    if place.is_sqlite and place.borrowed is None and not place.sqlite_path.exists():
        return LogNotFoundError(f"There is no log at {shown}: the file does not exist. {remedy}")
    if not has_log:
        return LogNotFoundError(f"There is no log in {shown}: it has no table llm_operations. {remedy}")
    fault = diagnose(exc)
    is_connecting = getattr(exc, "statement", None) is None
    remedy = (is_connecting and fault.remedy) or "Check the connection, the filters and any expression given as where."
    return DatabaseError(f"Reading the log in {shown} failed: {fault.summary.rstrip('.')}. {remedy}")
