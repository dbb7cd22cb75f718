"""where: over operations and sessions; another table is refused by name, a subquery over it is not."""

import asyncio
import logging
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import aliased

from aicore_sqllog import AsyncLogReader, LlmMessage, LlmOperation, LlmSession, LogReader
from tests.conftest import MakeHandler
from tests.support.servers import ONE_OF_EACH

OTHER = aliased(LlmOperation)
IS_OF = LlmMessage.operation_id == LlmOperation.operation_id
SAYS_HELLO = LlmMessage.content.contains("hello")


@pytest.fixture
def stored(make_handler: MakeHandler, log: logging.Logger, url: str) -> str:
    """Three calls with two messages each, of which the first two say hello twice; the first is the parent."""
    handler = make_handler()
    for number in range(3):
        text = "hello" if number < 2 else "bye"
        call = {"action_id": str(number), "cost": float(number), "session_id": f"s{number}", "messages": [text, text]}
        log.info("call", extra={"llm": {"operation_id": f"o{number}", "parent_operation_id": "o0", **call}})
    assert handler.flush()
    handler.close()
    return url


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (SAYS_HELLO, "llm_messages"),
        (IS_OF & SAYS_HELLO, "llm_messages"),
        (sa.or_(LlmOperation.cost > 1, SAYS_HELLO), "llm_messages"),
        (sa.case((SAYS_HELLO, 1), else_=0) == 1, "llm_messages"),
        (OTHER.parent_operation_id == LlmOperation.operation_id, "an alias of llm_operations"),
        (sa.column("x", _selectable=sa.table("mine", sa.column("x"))) == 1, "mine"),
        (sa.select(LlmOperation.operation_id).subquery().c.operation_id.is_not(None), "a Subquery"),
        (sa.func.json_each(LlmOperation.extras).table_valued("value").c.value == "x", "an alias of a Function"),
    ],
)
def test_a_table_that_is_not_joined_is_refused_by_name(where: Any, name: str) -> None:
    with LogReader("sqlite:///not_there.db") as reader:  # and before anything is connected
        for ask in (reader.count, reader.operations):
            with pytest.raises(ValueError, match=f"where names {name}, which is not joined") as caught:
                ask(where=[LlmOperation.cost > 0, where])
            assert "sa.exists()" in str(caught.value)
    with pytest.raises(ValueError, match=name):
        asyncio.run(AsyncLogReader("sqlite:///not_there.db").count(where=where))


@ONE_OF_EACH
@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (sa.exists().where(IS_OF, SAYS_HELLO), "01"),
        (~sa.exists().where(IS_OF, SAYS_HELLO), "2"),
        (LlmOperation.operation_id.in_(sa.select(LlmMessage.operation_id).where(SAYS_HELLO)), "01"),
        (sa.select(sa.func.count()).where(IS_OF).scalar_subquery() == 2, "012"),
        (sa.exists().where(OTHER.parent_operation_id == LlmOperation.operation_id), "0"),
        (LlmOperation.cost > sa.select(sa.func.avg(OTHER.cost)).scalar_subquery(), "2"),
        (sa.and_(LlmSession.session_key != "s1", LlmOperation.cost >= 1), "2"),
    ],
)
def test_a_subquery_over_any_table_answers_once_a_row(where: Any, expected: str, stored: str) -> None:
    with LogReader(stored) as reader:
        assert "".join(reader.operations(where=where, order_by="action_id")["action_id"]) == expected
        assert reader.count(where=where) == len(expected)
