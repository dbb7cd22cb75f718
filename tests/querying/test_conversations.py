"""What was said comes back as it was logged, each message once."""

import asyncio
import gzip
import logging
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from aicore_sqllog import AsyncLogReader, LogReader
from tests.conftest import MakeHandler

Message = dict[str, Any]


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def assistant(text: str | None, **more: Any) -> Message:
    return {"role": "assistant", "content": text, **more}


SYSTEM = {"role": "system", "content": "Be brief."}


def said(reader: LogReader, session_id: str) -> list[Message]:
    return [orjson.loads(text) for text in reader.conversation(session_id)["message"]]


@pytest.fixture(scope="module")
def trajectories(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    folder: Path = request.getfixturevalue("data")
    with gzip.open(folder / "tau_bench" / "gpt-4o-airline.jsonl.gz") as lines:
        return [orjson.loads(line) for line in lines]


@pytest.mark.backends("sqlite")
@pytest.mark.parametrize("sends", ["what is new", "the whole history"])
def test_a_conversation_is_what_the_file_says(
    make_handler: MakeHandler, log: logging.Logger, url: str, trajectories: list[dict[str, Any]], sends: str
) -> None:
    handler = make_handler()
    for number, session in enumerate(trajectories):
        history: list[Message] = []
        sent = 0
        for message in session["traj"]:
            if message["role"] == "assistant":
                request = history[sent:] if sends == "what is new" else history
                log.info("", extra={"llm": {"session_id": f"s{number}", "messages": request, "response": message}})
                sent = len(history) + 1
            history.append(message)
        if sent < len(history):
            log.info("", extra={"llm": {"session_id": f"s{number}", "messages": history[sent:]}})
    assert handler.flush(60)
    repeated = 0
    with LogReader(url) as reader:
        for number, session in enumerate(trajectories):
            expected = session["traj"]
            assert said(reader, f"s{number}") == expected
            spoken = [orjson.dumps({**message, "tool_call_id": ""}) for message in expected]
            repeated += len(set(spoken)) < len(spoken)
        assert reader.messages(session_id="s0").height >= len(trajectories[0]["traj"])
    assert repeated == 27


CALLS: dict[str, tuple[list[tuple[list[Message], Message | None]], list[Message]]] = {
    "a word said twice stays twice": (
        [
            ([user("yes")], assistant("ok")),
            ([user("yes"), assistant("ok"), user("yes")], assistant("ok")),
        ],
        [user("yes"), assistant("ok"), user("yes"), assistant("ok")],
    ),
    "the same question, asked afresh": (
        [([user("hi")], assistant("yo")), ([user("hi")], assistant("yo"))],
        [user("hi"), assistant("yo"), user("hi"), assistant("yo")],
    ),
    "a failed call is sent again": (
        [([SYSTEM, user("hi")], None), ([SYSTEM, user("hi")], assistant("yo"))],
        [SYSTEM, user("hi"), assistant("yo")],
    ),
    "calls that share their instructions": (
        [([SYSTEM, user("a")], assistant("1")), ([SYSTEM, user("b")], assistant("2"))],
        [SYSTEM, user("a"), assistant("1"), user("b"), assistant("2")],
    ),
    "two branches of one beginning": (
        [
            ([user("a")], assistant("1")),
            ([user("a"), assistant("1"), user("left")], assistant("L")),
            ([user("a"), assistant("1"), user("right")], assistant("R")),
        ],
        [user("a"), assistant("1"), user("left"), assistant("L"), user("right"), assistant("R")],
    ),
    "an answer comes back without its empty fields": (
        [
            ([user("a")], assistant("1", refusal=None, annotations=[])),
            ([user("a"), assistant("1"), user("b")], assistant("2")),
        ],
        [user("a"), assistant("1", refusal=None, annotations=[]), user("b"), assistant("2")],
    ),
    "an answer comes back in another form": (
        [
            ([user("a")], assistant("1", id="msg_1")),
            ([user("a"), assistant("1"), user("b")], assistant("2", id="msg_2")),
            ([user("a"), assistant("1"), user("b"), assistant("2"), user("c")], assistant("3")),
        ],
        [user("a"), assistant("1", id="msg_1"), user("b"), assistant("2", id="msg_2"), user("c"), assistant("3")],
    ),
    "tools": (
        [
            ([user("a")], assistant(None, tool_calls=[{"id": "c1"}])),
            (
                [user("a"), assistant(None, tool_calls=[{"id": "c1"}]), {"role": "tool", "content": "42"}],
                assistant("42"),
            ),
        ],
        [user("a"), assistant(None, tool_calls=[{"id": "c1"}]), {"role": "tool", "content": "42"}, assistant("42")],
    ),
    "lists of parts": (
        [([{"role": "user", "parts": [{"text": "a"}, {"text": "b"}]}], {"role": "model", "parts": [{"text": "c"}]})],
        [{"role": "user", "parts": [{"text": "a"}, {"text": "b"}]}, {"role": "model", "parts": [{"text": "c"}]}],
    ),
}


@pytest.mark.backends("sqlite")
@pytest.mark.parametrize("name", CALLS)
def test_what_was_said(make_handler: MakeHandler, log: logging.Logger, url: str, name: str) -> None:
    handler = make_handler()
    calls, expected = CALLS[name]
    for messages, response in calls:
        log.info("", extra={"llm": {"session_id": "chat", "messages": messages, "response": response}})
    assert handler.flush()
    with LogReader(url) as reader:
        assert said(reader, "chat") == expected
        frame = reader.conversation("chat")
        assert frame["position"].to_list() == list(range(len(expected)))
        assert reader.conversation("nobody's").schema == frame.schema
        with pytest.raises(ValueError, match="one session"):
            reader.conversation(["chat"])  # type: ignore[arg-type]


def test_messages_are_chosen_by_themselves(make_handler: MakeHandler, log: logging.Logger, url: str) -> None:
    handler = make_handler()
    log.info("", extra={"llm": {"model": "a", "messages": [SYSTEM, user("one")], "response": "two"}})
    log.info(
        "", extra={"llm": {"model": "b", "messages": [user("three")], "response": assistant(None, tool_calls=[1])}}
    )
    assert handler.flush()

    async def ask() -> pl.DataFrame:
        async with AsyncLogReader(url) as reader:
            return await reader.messages()

    with LogReader(url) as reader:
        frame = reader.messages()
        assert frame["content"].to_list() == ["Be brief.", "one", "two", "three", None]
        assert frame["sequence_number"].to_list() == [0, 1, 2, 0, 1]
        assert reader.messages(role="user")["content"].to_list() == ["one", "three"]
        assert reader.messages(model="b", descending=True, limit=1)["parts"].str.contains("tool_calls").to_list() == [
            True
        ]
        assert reader.messages(content_contains="e", role="user")["content"].to_list() == ["one", "three"]
        assert reader.messages(model="nobody's").schema == frame.schema
        assert asyncio.run(ask()).equals(frame)
