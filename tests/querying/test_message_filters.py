"""role and content_contains: plain texts that must hold in one and the same message, the same on every database."""

import asyncio
import logging
from typing import Any

import pytest

from aicore_sqllog import AsyncLogReader, LogReader
from tests.conftest import MakeHandler

CALLS = [
    [{"role": "user", "content": "Where is my refund?"}, {"role": "assistant", "content": "On its way."}],
    [{"role": "user", "content": "100% of it_"}, {"role": "assistant", "content": "Your refund is here 😀, gpt-é."}],
    [{"role": "tool", "content": None}, {"role": "user", "content": "REFUND"}],
    [{"role": None, "content": "a\\b\x00'; DROP TABLE llm_messages; --"}],
    [],
]


@pytest.fixture
def stored(make_handler: MakeHandler, log: logging.Logger, url: str) -> str:
    handler = make_handler()
    for number, messages in enumerate(CALLS):
        log.info("call", extra={"llm": {"action_id": str(number), "messages": messages}})
    assert handler.flush()
    handler.close()
    return url


CASES: list[tuple[dict[str, Any], str]] = [
    ({"content_contains": "refund"}, "01"),
    ({"content_contains": "REFUND"}, "2"),
    ({"content_contains": "efund", "role": "user"}, "0"),
    ({"content_contains": "refund", "role": ["tool", "assistant"]}, "1"),
    ({"content_contains": "On its", "role": "user"}, ""),
    ({"content_contains": "%"}, "1"),
    ({"content_contains": "i__"}, ""),
    ({"content_contains": "it_"}, "1"),
    ({"content_contains": "😀"}, "1"),
    ({"content_contains": "gpt-e"}, ""),
    ({"content_contains": "gpt-é"}, "1"),
    ({"content_contains": "way. "}, ""),
    ({"content_contains": "a\\b\x00'"}, "3"),
    ({"content_contains": "'; DROP TABLE llm_messages; --"}, "3"),
    ({"content_contains": ""}, "0123"),
    ({"content_contains": None, "role": None}, "01234"),
    ({"role": "tool"}, "2"),
    ({"role": "User"}, ""),
    ({"role": []}, ""),
    ({"role": ["assistant", "tool"], "action_id": ["0", "2", "4"]}, "02"),
]


def test_they_choose_the_calls_with_such_a_message(stored: str) -> None:
    async def acount(filters: dict[str, Any]) -> int:
        async with AsyncLogReader(stored) as reader:
            return await reader.count(**filters)

    with LogReader(stored) as reader:
        for filters, expected in CASES:
            found = reader.operations(**filters, order_by="action_id", include_messages=True)
            assert "".join(found["action_id"]) == expected, filters
            assert reader.count(**filters) == len(expected)
            assert asyncio.run(acount(filters)) == len(expected)


@pytest.mark.parametrize("value", [1, b"refund", ["refund"], ("a", "b")])
def test_content_contains_takes_one_text(value: Any) -> None:
    with LogReader("sqlite:///not_there.db") as reader, pytest.raises(ValueError, match="content_contains"):
        reader.count(content_contains=value)
