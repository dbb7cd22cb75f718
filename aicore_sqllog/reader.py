"""
The reader: each method asks a question of ``querying/`` and returns its answer.
"""

from collections.abc import Iterator
from datetime import date, datetime
from types import TracebackType
from typing import Self, Unpack
from uuid import UUID

import polars as pl

from aicore_sqllog.querying import (
    count,
    losses,
    messages,
    operations,
    pages,
    scan,
    sessions,
    summary,
    timeseries,
    values,
)
from aicore_sqllog.querying.execute import execute
from aicore_sqllog.querying.filters import Filters
from aicore_sqllog.querying.groups import By
from aicore_sqllog.querying.messages import MessagesArguments
from aicore_sqllog.querying.operations import OperationsArguments
from aicore_sqllog.querying.pages import PagesArguments
from aicore_sqllog.querying.reader_cache import ReaderCache
from aicore_sqllog.querying.scan import ScanArguments
from aicore_sqllog.querying.sessions import SessionsArguments
from aicore_sqllog.querying.signature import shows_arguments_of
from aicore_sqllog.querying.source import Source
from aicore_sqllog.querying.summary import SummaryArguments
from aicore_sqllog.querying.timeseries import TimeseriesArguments
from aicore_sqllog.storage.connection import SYNC_FIRST, Connection, Place, resolve

__all__ = ["LogReader", "polars_from_db"]


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

    @shows_arguments_of(pages.pages)
    def iter_operations(self, batch_rows: int = 50_000, **arguments: Unpack[PagesArguments]) -> Iterator[pl.DataFrame]:
        """
        Yield the operations that match, oldest first, in frames of at most so many rows, in constant memory.

        Each row that is there at the start comes exactly once, while others write; what they write meanwhile may
        come too. No transaction, and no connection, is held between two frames.

        Args:
            batch_rows: How many rows a frame has at most. With messages, fewer take less memory.

            columns: As in :meth:`operations`; so are ``include_messages``, ``decode_json`` and the filters.
        """
        return pages.iterate(pages.pages(batch_rows, **arguments), self._source.connect)

    @shows_arguments_of(scan.scan)
    def scan_operations(self, **arguments: Unpack[ScanArguments]) -> pl.LazyFrame:
        """
        Return the operations that match as a LazyFrame, which asks the database when it is collected.

        The columns and rows that a query needs, and its comparisons of times, numbers, names and ids that are joined by
        *and*, become SQL; the rest Polars does. It reads in batches, oldest first. Rests on an interface of Polars
        that is marked unstable.

        Args:
            show_sql: Called with the SQL that is asked, such as ``print``.

            filters: As in :meth:`operations`.
        """
        return scan.scan(self._source, **arguments)

    @shows_arguments_of(messages.messages)
    def messages(self, **arguments: Unpack[MessagesArguments]) -> pl.DataFrame:
        """
        Return the messages of the operations that match, one row each, as they were logged.

        Args:
            descending: The latest first.

            limit: At most so many rows.

            filters: As in :meth:`operations`; ``role`` and ``content_contains`` choose among the messages themselves.

        Returns:
            ``session_id timestamp operation_id sequence_number role content parts``, in the order of the calls.
        """
        return execute(messages.messages(**arguments), self._source.connect)

    def conversation(self, session_id: str | UUID) -> pl.DataFrame:
        """
        Return what was said in a session, from the first message to the last, each once.

        Many applications send the whole history with every call. Of each call come the messages after the longest
        history that it continues: one that it repeats from its beginning to the answer. So a message that was
        really said twice comes twice, and instructions that calls share come once.

        Args:
            session_id: The session, as it was logged: a UUID, or any text.

        Returns:
            ``position``, from 0; the columns of :meth:`messages`; ``message``: the whole message as it was logged,
            as JSON.
        """
        return execute(messages.conversation(session_id), self._source.connect)

    @shows_arguments_of(sessions.sessions)
    def sessions(self, **arguments: Unpack[SessionsArguments]) -> pl.DataFrame:
        """
        Return the sessions of the operations that match, one row each, with what these add up to.

        Args:
            order_by: A column of the frame; sessions that are equal in it come in the order of ``session_id``.

            descending: Exactly the other way round.

            limit: At most so many rows.

            filters: As in :meth:`operations`, about the operations.

        Returns:
            ``session_id session_key workspace agent_id created_at session_metadata``, then ``calls error_calls
            input_tokens output_tokens total_tokens cost first_timestamp last_timestamp`` of the operations that match.
        """
        return execute(sessions.sessions(**arguments), self._source.connect)

    @shows_arguments_of(summary.summary)
    def summary(self, by: By = None, **arguments: Unpack[SummaryArguments]) -> pl.DataFrame:
        """
        Return how much, how many and how slow, a row for each group of the operations that match.

        The database adds up; only groups come back. An unknown number is in no sum, mean or percentile, and where
        none is known the measure is null.

        Args:
            by: What to group by: a column that names something (``provider model response_model operation_type
                workspace agent_id user_id action_id session_id status error_type finish_reason``), a path
                into ``extras`` such as ``("extras", "user", "tier")``, or several; left out, all is one group.

            measures: Which, in which order; all where it is left out. Percentiles cost the most.

            filters: As in :meth:`operations`.

        Returns:
            The columns of *by*, texts, in whose order the rows come; then ``calls error_calls error_rate
            input_tokens output_tokens total_tokens cache_read_tokens cache_write_tokens reasoning_tokens cost
            cost_per_call unpriced_calls latency_ms_mean latency_ms_p50 latency_ms_p90 latency_ms_p95 latency_ms_p99
            latency_ms_max time_to_first_token_ms_p50 output_tokens_per_second first_timestamp last_timestamp``.
            Percentiles are by nearest rank, as ``percentile_disc`` of SQL has them: a value that was measured.

        Raises:
            ValueError: If there is no such column or measure; the nearest is named.
        """
        return execute(summary.summary(self._source.dialect, by, **arguments), self._source.connect)

    @shows_arguments_of(timeseries.timeseries)
    def timeseries(self, every: str = "1d", by: By = None, **arguments: Unpack[TimeseriesArguments]) -> pl.DataFrame:
        """
        Return the measures of :meth:`summary` for each bucket of time, and each group in it.

        Args:
            every: How long a bucket is: ``1m 5m 15m 1h 6h 1d 1w 1mo``. From ``6h`` on they are those of the local
                calendar: a day has 23, 24 or 25 hours, a week begins on Monday. An hour that comes twice when
                clocks go back is two buckets.

            by: As in :meth:`summary`.

            tz: A time zone's name, such as ``"Europe/Berlin"``. Dates in the filters, and times without a zone, mean
                this zone.

            measures: As in :meth:`summary`.

            filters: As in :meth:`operations`.

        Returns:
            ``bucket``, when it begins, in the zone; then the columns of :meth:`summary`. There is a row for each bucket
            from ``start_date`` to ``end_date``, or from the first call to the last, and for each group that has a call
            in any of them; where there is no call, ``calls`` is 0.

        Raises:
            ValueError: If there is no such length, zone, column or measure, or there would be over 100,000 buckets.
        """
        asked = timeseries.timeseries(self._source.dialect, every, by, **arguments)
        return execute(asked, self._source.connect)

    @shows_arguments_of(values.values)
    def values(self, column: str | tuple[str | int, ...], **filters: Unpack[Filters]) -> list[str | None]:
        """
        Return the distinct values of a column that names something, or of a path into ``extras``, for menus.

        They are in order, code point by code point; ``None`` comes last where an operation has no value. Columns and
        paths are those of ``by`` in :meth:`summary`, filters those of :meth:`operations`.
        """
        return execute(values.values(column, **filters), self._source.connect)

    def losses(
        self, start_date: str | date | datetime | None = None, end_date: str | date | datetime | None = None
    ) -> pl.DataFrame:
        """
        Return what was dropped by policy in a period: whether the log of it is complete.

        Args:
            start_date: Losses that lasted until then or longer; read as in :meth:`operations`.

            end_date: Losses that began before.

        Returns:
            A row for each: ``reason count bytes first_at last_at host process_id``. No row: nothing was dropped.
        """
        return execute(losses.losses(start_date, end_date), self._source.connect)

    def close(self) -> None:
        """Close the connections that are ours. A later question opens new ones."""
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


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


def _connection_of(place: Place) -> Connection:
    return place.url if place.borrowed is None else place.borrowed


_READERS = ReaderCache(lambda place: LogReader(_connection_of(place), place.schema), LogReader.close)
