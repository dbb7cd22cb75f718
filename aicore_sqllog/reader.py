"""
The readers: each method asks a question of ``querying/`` and returns its answer.
"""

from types import TracebackType
from typing import Self, Unpack

import polars as pl

from aicore_sqllog.querying import count, operations
from aicore_sqllog.querying.execute import aexecute, execute
from aicore_sqllog.querying.filters import Filters
from aicore_sqllog.querying.operations import OperationsArguments
from aicore_sqllog.querying.reader_cache import ReaderCache
from aicore_sqllog.querying.signature import shows_arguments_of
from aicore_sqllog.querying.source import AsyncSource, Source
from aicore_sqllog.storage.connection import ASYNC_FIRST, SYNC_FIRST, Connection, Place, resolve

__all__ = ["AsyncLogReader", "LogReader", "apolars_from_db", "polars_from_db"]


class LogReader:
    """
    Reads what was logged, as Polars frames, filtered and ordered in the database.

    It never creates a file or a table, leaves nothing beside a SQLite file, and reads one where it may not
    write. Use it with ``with``, or call :meth:`close`.

    Args:
        connection: Where the log lives: a SQLAlchemy URL, or an engine, which is borrowed and
            never closed here. Default: ``$CONNECTION_STRING``, then ``$ASYNC_CONNECTION_STRING``,
            then the file ``aicore_sqllog.db`` in the current folder.

        schema: The database schema of the tables, where it is not the default one.

    Raises:
        ConfigurationError: If the connection cannot work.
    """

    def __init__(self, connection: Connection | None = None, schema: str | None = None) -> None:
        self._source = Source(resolve(connection, SYNC_FIRST, schema))

    @shows_arguments_of(operations.operations)
    def operations(self, **arguments: Unpack[OperationsArguments]) -> pl.DataFrame:
        """
        Return the operations that match, one row each, oldest first.

        Filters combine with *and*; one that is left out, or ``None``, is not applied. When nothing
        matches, the frame is empty but keeps every column and its type.

        Args:
            columns: Which columns, in which order; all where it is left out.

            include_messages: Add ``messages``: a list of role, content, parts (JSON text) and
                sequence_number for each operation.

            decode_json: Give JSON columns as Python objects instead of text.

            order_by: A column; rows that are equal in it come in the order of ``operation_id``. Texts
                are ordered code point by code point on every database.

            descending: Exactly the other way round.

            limit: At most so many rows.

            filters: ``start_date`` is inclusive; ``end_date`` includes the whole day if it is a
                date alone, and is exclusive if it is a datetime; a naive one is UTC. Of
                ``session_id workspace agent_id user_id action_id operation_id
                parent_operation_id operation_type provider model response_model status
                error_type finish_reason`` a sequence means *one of*, and ``None`` in it NULL.
                ``min_``/``max_``: ``tokens`` (input and output), ``input_tokens``,
                ``output_tokens``, ``latency`` (milliseconds), ``cost``. ``role`` (one, or
                one of several) and ``content_contains`` (a plain text, case counts) hold in one and the
                same message. ``where``: SQLAlchemy
                expressions over ``LlmOperation`` and ``LlmSession``; of another table what a subquery
                says, such as ``sa.exists().where(LlmMessage.operation_id == LlmOperation.operation_id, ...)``.

        Returns:
            Every column of ``llm_operations``, then ``session_key`` and ``session_metadata``. Ids
            are ``String``, times ``Datetime("us", "UTC")``, counts and latency ``Int64``, cost
            ``Float64``, JSON ``String``. A time that Python's datetime cannot hold, which PostgreSQL can,
            is the nearest that it can.

        Raises:
            TypeError: If a filter is unknown.
            ValueError: If a value cannot be right.
            LogNotFoundError: If there is no such file, or none of our tables in it.
            SchemaError: If the tables are older than this version.
            DatabaseError: If the database refuses.
        """
        return execute(operations.operations(**arguments), self._source.connect)

    @shows_arguments_of(count.count)
    def count(self, **filters: Unpack[Filters]) -> int:
        """Return how many operations match; filters and errors as in :meth:`operations`."""
        return execute(count.count(**filters), self._source.connect)

    def close(self) -> None:
        """Close the connections that are ours. A later question opens new ones."""
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


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
def polars_from_db(
    connection: Connection | None = None, *, schema: str | None = None, **arguments: Unpack[OperationsArguments]
) -> pl.DataFrame:
    """
    Return logged LLM operations as a DataFrame, one row each, oldest first, in one call.

    The engine is kept for the next call with the same connection. Arguments, frame and errors
    are those of :meth:`LogReader.operations`.

    Example:
        >>> polars_from_db(provider="openai", min_tokens=100)
    """
    return _READERS.get(resolve(connection, SYNC_FIRST, schema)).operations(**arguments)


@shows_arguments_of(operations.operations)
async def apolars_from_db(
    connection: Connection | None = None, *, schema: str | None = None, **arguments: Unpack[OperationsArguments]
) -> pl.DataFrame:
    """Return what :func:`polars_from_db` returns, without blocking the event loop."""
    return await _ASYNC_READERS.get(resolve(connection, ASYNC_FIRST, schema)).operations(**arguments)


def _connection_of(place: Place) -> Connection:
    return place.url if place.borrowed is None else place.borrowed


_READERS = ReaderCache(lambda place: LogReader(_connection_of(place), place.schema), LogReader.close)
_ASYNC_READERS = ReaderCache(
    lambda place: AsyncLogReader(_connection_of(place), place.schema),
    lambda reader: None,  # it keeps no connection that had to be closed
)
