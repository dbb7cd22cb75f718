"""
Run a question: a generator of Selects that is sent the rows of each, and returns its answer.

A question knows neither connections nor event loops. Both kinds of reader run the same one.
"""

import asyncio
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import polars as pl
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from aicore_sqllog.errors import DatabaseError
from aicore_sqllog.querying.frames import frame_of_chunks, frame_of_csv, typed_frame
from aicore_sqllog.record.columns import ColumnKind
from aicore_sqllog.storage.dialects.lookup import dialect_of
from aicore_sqllog.storage.transactions import begin_again

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["FrameOf", "PartsOf", "Question", "Rows", "aexecute", "execute"]

T = TypeVar("T")

_TRIES = 10
_PART_ROWS = 50_000

_CHUNK_ROWS = 4_000
"""
What a chunk's values take fits a processor's cache, and the next one's take its place: all rows at once take twice as
long to stand in columns.
"""

Rows: TypeAlias = Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class FrameOf:
    """A Select whose rows are wanted as a frame, by the fastest way that there is."""

    select: sa.Select[Any]
    columns: Mapping[str, ColumnKind]
    """The names and kinds of what it selects, in order."""


@dataclass(frozen=True, slots=True)
class PartsOf:
    """A Select whose rows are handed over in frames of bounded size, and kept by nobody else."""

    select: sa.Select[Any]
    columns: Mapping[str, ColumnKind]
    start: Callable[[], object]
    """Called before the first part; again where the log changed meanwhile, and all is read once more."""
    add: Callable[[pl.DataFrame], object]


Asked: TypeAlias = sa.Select[Any] | FrameOf | PartsOf
Question: TypeAlias = Generator[Asked, Any, T]
"""
It is sent the rows of each Select, the frame of each :class:`FrameOf`, and nothing after a :class:`PartsOf`.

It checks its arguments before it asks anything, so that a wrong one costs no connection.
"""


def execute(question: Question[T], connect: Callable[[], AbstractContextManager[sa.Connection]]) -> T:
    """Return the answer to *question*; *connect* is called at most once, when the first Select is there."""
    step = _advance(question, None)
    if isinstance(step, _Answer):
        return step.value
    with connect() as connection:
        while not isinstance(step, _Answer):
            step = _advance(question, _fetch(connection, step))
    return step.value


async def aexecute(question: Question[T], connect: Callable[[], AbstractAsyncContextManager["AsyncConnection"]]) -> T:
    """Return what :func:`execute` returns, over an asynchronous connection."""
    step = _advance(question, None)
    if isinstance(step, _Answer):
        return step.value
    async with connect() as connection:
        while not isinstance(step, _Answer):
            found = await connection.run_sync(_gather, step)
            if isinstance(step, sa.Select):
                step = _advance(question, found)
            else:  # a frame takes a while to make, in which the loop goes on
                step = await asyncio.to_thread(_advance_with_frame, question, step, found)
    return step.value


@dataclass(frozen=True, slots=True)
class _Answer(Generic[T]):
    value: T


def _advance(question: Question[T], found: Rows | pl.DataFrame | None) -> Asked | _Answer[T]:
    try:
        return next(question) if found is None else question.send(found)
    except StopIteration as end:
        return _Answer(end.value)


def _advance_with_frame(question: Question[T], asked: Asked, found: Any) -> Asked | _Answer[T]:
    if isinstance(asked, FrameOf):
        found = frame_of_csv(found, asked.columns) if isinstance(found, bytes) else _frame_of_rows(found, asked)
    return _advance(question, found)


def _fetch(connection: sa.Connection, asked: Asked) -> Any:
    """Return what was asked for; no transaction stays open while the question works on it."""
    if not isinstance(asked, FrameOf):
        return _gather(connection, asked)
    csv = _copied(connection, asked)
    if csv is not None:
        return frame_of_csv(csv, asked.columns)
    return _tried(connection, lambda: _frame_of_result(connection.execute(asked.select), asked))


def _gather(connection: sa.Connection, asked: Asked) -> Any:
    """Return what :func:`_fetch` returns, but of a frame only what it is made of: rows, or CSV."""
    if isinstance(asked, PartsOf):
        return _tried(connection, partial(_hand_over, connection, asked))
    if isinstance(asked, FrameOf):
        csv = _copied(connection, asked)
        return _rows(connection, asked.select) if csv is None else csv
    return _rows(connection, asked)


def _copied(connection: sa.Connection, asked: FrameOf) -> bytes | None:
    """Return the rows as CSV by the database's own fast way; None where it has none, or refuses it."""
    if len(asked.columns) == 1:
        return None  # a line that is empty is a NULL, or none
    begin_again(connection)
    try:
        csv = dialect_of(connection).copied_csv(connection, asked.select)
    except Exception:  # the driver's own; what is really wrong, the ordinary way meets too, and says it
        csv = None
    except BaseException as exc:  # a task that is cancelled leaves the driver in the middle of the answer
        connection.invalidate(exc)
        raise
    if not connection.invalidated:
        connection.rollback()
    return csv


def _rows(connection: sa.Connection, select: sa.Select[Any]) -> Rows:
    return _tried(connection, lambda: _plain_rows(connection.execute(select)))


def _hand_over(connection: sa.Connection, asked: PartsOf) -> None:
    asked.start()
    with connection.execute(asked.select, execution_options={"stream_results": True}) as result:
        for rows in result.partitions(_PART_ROWS):
            asked.add(typed_frame(rows, asked.columns))


def _tried(connection: sa.Connection, read: Callable[[], T]) -> T:
    """Return what *read* does, in a transaction of its own, from a log that did not change meanwhile."""
    dialect = dialect_of(connection)
    for _ in range(_TRIES):
        begin_again(connection)
        try:
            found = read()
        except DBAPIError:
            if not dialect.was_changed(connection):
                raise
        else:
            connection.rollback()
            if not dialect.was_changed(connection):
                return found
        connection.invalidate()  # the next statement connects again
        connection.rollback()
    raise DatabaseError(
        f"The log changed while it was read, {_TRIES} times in a row, and it cannot be locked from here. "
        "Read it as a user who may write to its folder, or read a copy."
    )


def _frame_of_result(result: sa.CursorResult[Any], asked: FrameOf) -> pl.DataFrame:
    """Return the frame of rows that stand in columns while the next ones come: it takes as long as to fetch them."""
    chunks = [result.all()] if result.cursor is None else _chunks(result.cursor)
    return frame_of_chunks(chunks, asked.columns)


def _chunks(cursor: Any) -> Iterator[Rows]:
    while rows := cursor.fetchmany(_CHUNK_ROWS):
        yield rows


def _frame_of_rows(rows: Rows, asked: FrameOf) -> pl.DataFrame:
    starts = range(0, len(rows), _CHUNK_ROWS)
    return frame_of_chunks((rows[start : start + _CHUNK_ROWS] for start in starts), asked.columns)


def _plain_rows(result: sa.CursorResult[Any]) -> Rows:
    """Return the driver's own rows: what is selected is made such that SQLAlchemy has nothing to convert."""
    return result.cursor.fetchall() if result.cursor is not None else result.all()
