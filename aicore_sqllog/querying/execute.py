"""
Run a question: a generator of Selects that is sent the rows of each, and returns its answer.

A question knows neither connections nor event loops. Both kinds of reader run the same one.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import polars as pl
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from aicore_sqllog.errors import DatabaseError
from aicore_sqllog.querying.frames import frame_of_csv, typed_frame
from aicore_sqllog.record.columns import ColumnKind
from aicore_sqllog.storage.dialects.lookup import dialect_of
from aicore_sqllog.storage.transactions import begin_again

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["FrameOf", "PartsOf", "Question", "Rows", "aexecute", "execute"]

T = TypeVar("T")

_TRIES = 10
_PART_ROWS = 50_000

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
            step = _advance(question, await connection.run_sync(_fetch, step))
    return step.value


@dataclass(frozen=True, slots=True)
class _Answer(Generic[T]):
    value: T


def _advance(question: Question[T], found: Rows | pl.DataFrame | None) -> Asked | _Answer[T]:
    try:
        return next(question) if found is None else question.send(found)
    except StopIteration as end:
        return _Answer(end.value)


def _fetch(connection: sa.Connection, asked: Asked) -> Rows | pl.DataFrame | None:
    """Return what was asked for; no transaction stays open while the question works on it."""
    if isinstance(asked, PartsOf):
        return _tried(connection, partial(_hand_over, connection, asked))
    if isinstance(asked, FrameOf):
        copied = _copied(connection, asked)
        return typed_frame(_rows(connection, asked.select), asked.columns) if copied is None else copied
    return _rows(connection, asked)


def _copied(connection: sa.Connection, asked: FrameOf) -> pl.DataFrame | None:
    """Return the frame by the database's own way of copying; None where it has none, or refuses it."""
    if len(asked.columns) == 1:
        return None  # a line that is empty is a NULL, or none
    begin_again(connection)
    try:
        csv = dialect_of(connection).copied_csv(connection, asked.select)
    except Exception:  # the driver's own; what is really wrong, the ordinary way meets too, and says it
        csv = None
    if not connection.invalidated:
        connection.rollback()
    return None if csv is None else frame_of_csv(csv, asked.columns)


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


def _plain_rows(result: sa.CursorResult[Any]) -> Rows:
    """Return the driver's own rows: what is selected is made such that SQLAlchemy has nothing to convert."""
    return result.cursor.fetchall() if result.cursor is not None else result.all()
