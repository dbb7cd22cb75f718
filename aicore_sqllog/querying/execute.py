"""
Run a question: a generator of Selects that is sent the rows of each, and returns its answer.

A question knows neither connections nor event loops. Both kinds of reader run the same one.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from aicore_sqllog.errors import DatabaseError
from aicore_sqllog.storage.dialects.lookup import dialect_of
from aicore_sqllog.storage.transactions import begin_again

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["Question", "Rows", "aexecute", "execute"]

T = TypeVar("T")

_TRIES = 10

Rows: TypeAlias = Sequence[sa.Row[Any]]
Question: TypeAlias = Generator[sa.Select[Any], Rows, T]
"""It checks its arguments before its first Select, so that a wrong one costs no connection."""


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


def _advance(question: Question[T], rows: Rows | None) -> sa.Select[Any] | _Answer[T]:
    try:
        return next(question) if rows is None else question.send(rows)
    except StopIteration as end:
        return _Answer(end.value)


def _fetch(connection: sa.Connection, select: sa.Select[Any]) -> Rows:
    """Return the rows; no transaction stays open while the question works on them."""
    dialect = dialect_of(connection)
    for _ in range(_TRIES):
        begin_again(connection)
        try:
            rows = connection.execute(select).all()
        except DBAPIError:
            if not dialect.was_changed(connection):
                raise
        else:
            connection.rollback()
            if not dialect.was_changed(connection):
                return rows
        connection.invalidate()  # the next statement connects again
        connection.rollback()
    raise DatabaseError(
        f"The log changed while it was read, {_TRIES} times in a row, and it cannot be locked from here. "
        "Read it as a user who may write to its folder, or read a copy."
    )
