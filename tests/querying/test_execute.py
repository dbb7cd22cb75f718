"""A question runs the same over both kinds of connection, and costs no connection where it needs none."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from aicore_sqllog.querying.execute import Question, aexecute, execute

NUMBERS: sa.Select[Any] = sa.select(sa.column("n")).select_from(sa.text("(select 1 as n union all select 2)"))


def sum_of(times: int) -> Question[int]:
    found = 0
    for _ in range(times):
        for row in (yield NUMBERS):
            found += row[0]
    return found


def refuse() -> Question[int]:
    raise ValueError("a wrong argument")
    yield NUMBERS  # type: ignore[unreachable]


class Connects:
    """Both kinds of connection to SQLite in memory, and how often one was asked for."""

    def __init__(self) -> None:
        self.times = 0
        self.transactions_left_open: list[bool] = []

    @contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        self.times += 1
        with sa.create_engine("sqlite://").connect() as connection:
            yield connection
            self.transactions_left_open.append(connection.in_transaction())

    @asynccontextmanager
    async def aconnect(self) -> AsyncIterator[AsyncConnection]:
        self.times += 1
        engine = create_async_engine("sqlite+aiosqlite://")
        async with engine.connect() as connection:
            yield connection
            self.transactions_left_open.append(connection.in_transaction())
        await engine.dispose()

    def answers(self, question: Any) -> list[Any]:
        """Return the answer of each way."""
        return [execute(question(), self.connect), asyncio.run(self._answer(question()))]

    async def _answer(self, question: Question[Any]) -> Any:
        return await aexecute(question, self.aconnect)


@pytest.mark.parametrize("times", [1, 3])
def test_each_select_s_rows_are_sent_to_the_question_over_one_connection(times: int) -> None:
    ways = Connects()
    assert ways.answers(lambda: sum_of(times)) == [3 * times] * 2
    assert ways.times == 2
    assert ways.transactions_left_open == [False, False]


def test_a_question_that_asks_nothing_connects_to_nothing() -> None:
    ways = Connects()
    assert ways.answers(lambda: sum_of(0)) == [0, 0]
    assert ways.times == 0


def test_a_refusal_before_the_first_select_costs_no_connection() -> None:
    ways = Connects()
    for _ in range(2):
        with pytest.raises(ValueError, match="a wrong argument"):
            ways.answers(refuse)
    assert ways.times == 0
