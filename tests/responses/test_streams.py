"""Streams of every family, by hand: whole, abandoned, failed, odd. No SDK, no network."""

from typing import Any

import pytest

from aicore_sqllog.responses.gather import StreamReader
from tests.support.shapes import (
    CHAT,
    CHAT_STREAM,
    CONVERSE,
    CONVERSE_STREAM,
    GEMINI,
    GEMINI_STREAM,
    IDS,
    MESSAGE,
    MESSAGE_STREAM,
    RESPONSE,
    RESPONSE_STREAM,
    STREAMS,
    as_objects,
    call_chunk,
    chat_chunk,
    counts,
    read,
    stream,
    with_odd_values,
)


def test_a_streamed_chat_is_put_together() -> None:
    fields = stream(CHAT_STREAM)

    assert fields["response"] == {
        "role": "assistant",
        "content": "Hello",
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "wave", "arguments": '{"hands": 2}'}},
            {"id": "call_2", "type": "function", "function": {"name": "bow", "arguments": "{}"}},
        ],
    }
    assert (fields["finish_reason"], fields["status"], *counts(fields)[:2]) == ("tool_calls", "success", 9, 5)
    assert "obfuscation" not in fields["extras"]


@pytest.mark.parametrize(
    "calls",
    [
        pytest.param([(None, "a", "wave", "{}"), (None, "b", "bow", "{}")], id="no index"),
        pytest.param([(0, "a", "wave", "{}"), (0, "b", "bow", "{}")], id="every index 0"),
        pytest.param([(0, "a", "wave", ""), (0, "a", "wave", "{}"), (1, "b", "bow", "{}")], id="all said again"),
        pytest.param(
            [(None, "a", "wave", "{"), (None, None, None, "}"), (None, "b", "bow", "{}")], id="no index, in parts"
        ),
    ],
)
def test_tool_calls_come_apart_in_many_ways(calls: list[tuple[Any, Any, Any, str]]) -> None:
    response: Any = stream([call_chunk(*call) for call in calls])["response"]

    assert [(call["id"], call["function"]) for call in response["tool_calls"]] == [
        ("a", {"name": "wave", "arguments": "{}"}),
        ("b", {"name": "bow", "arguments": "{}"}),
    ]


@pytest.mark.parametrize(
    ("chunks", "whole"),
    [(MESSAGE_STREAM, MESSAGE), (RESPONSE_STREAM, RESPONSE), (GEMINI_STREAM, GEMINI), (CONVERSE_STREAM, CONVERSE)],
    ids=IDS[1:],
)
def test_a_stream_is_read_like_the_whole(chunks: list[Any], whole: dict[str, Any]) -> None:
    streamed, at_once = stream(chunks), read(whole)

    assert streamed["response"]["tool_calls"][0]["function"] == at_once["response"]["tool_calls"][0]["function"]
    assert "Greet." in str(streamed["response"]) or streamed == at_once
    same = {"finish_reason", "response_model", "operation_type", "status", "output_tokens"}
    assert {name: streamed.get(name) for name in same} == {name: at_once.get(name) for name in same}


def test_later_usage_of_an_anthropic_stream_completes_the_first() -> None:
    assert counts(stream(MESSAGE_STREAM)) == (43, 7, 40, None, None)


@pytest.mark.parametrize("chunks", STREAMS, ids=IDS)
def test_objects_stream_like_mappings(chunks: list[Any]) -> None:
    assert stream([as_objects(chunk) for chunk in chunks]) == stream(chunks)
    assert read(chunks) == stream(chunks), "the list of a stream's chunks is an answer too"


@pytest.mark.parametrize("chunks", STREAMS, ids=IDS)
def test_an_abandoned_stream_gives_what_has_come(chunks: list[Any]) -> None:
    texts = []
    for upto in range(len(chunks)):
        reader = StreamReader()
        for chunk in chunks[:upto]:
            reader.add(chunk)
        fields = reader.result()
        texts.append(len(str(fields.get("response"))))
        assert "fault" not in str(fields)
        assert reader.is_complete == ("status" in fields)
        assert reader.has_content or not str(fields.get("response", "")).count("text"), upto
    assert texts == sorted(texts)
    assert "status" not in stream(chunks[: len(chunks) // 2])


@pytest.mark.parametrize(
    ("chunks", "first"),
    [
        (CHAT_STREAM, 1),
        (MESSAGE_STREAM, 2),
        (RESPONSE_STREAM, 2),
        (GEMINI_STREAM, 0),
        (CONVERSE_STREAM, 1),
        (["", "H", "i"], 1),
    ],
    ids=[*IDS, "text"],
)
def test_the_first_content_is_seen_as_it_comes(chunks: list[Any], first: int) -> None:
    reader = StreamReader()
    seen = []
    for chunk in chunks:
        reader.add(chunk)
        seen.append(reader.has_content)

    assert seen == [at >= first for at in range(len(chunks))]


def test_a_tool_call_cut_short_keeps_its_text() -> None:
    response: Any = stream(MESSAGE_STREAM[:11])["response"]

    assert response["tool_calls"][0]["function"]["arguments"] == '{"hands"'


def test_reasoning_comes_as_text_or_as_parts() -> None:
    assert stream([chat_chunk({"reasoning_content": "Gre"}), chat_chunk({"reasoning_content": "et."})])["response"] == {
        "role": "assistant",
        "content": None,
        "reasoning_content": "Greet.",
    }
    thinking = [{"type": "thinking", "thinking": [{"type": "text", "text": text}]} for text in ("Gre", "et.")]
    chunks = [chat_chunk({"content": [part]}) for part in thinking] + [chat_chunk({"content": text}) for text in "Hi"]
    assert stream(chunks)["response"]["content"] == [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Greet."}]},
        {"type": "text", "text": "Hi"},
    ]


def test_several_answers_at_once_are_kept_apart() -> None:
    chunks = [
        {**chat_chunk({}), "choices": [{"index": at, "delta": {"content": text}}]}
        for at, text in [(0, "a"), (1, "x"), (0, "b"), (1, "y")]
    ]

    response: Any = stream(chunks)["response"]

    assert (response["content"], response["other_choices"][0]["content"]) == ("ab", "xy")


def test_a_stream_of_texts_is_their_text() -> None:
    assert stream(["H", b"i"]) == {"response": "Hi"}


def test_a_stream_of_unknown_chunks_is_kept() -> None:
    assert stream([{"a": 1}, 7]) == {"extras": {"chunks": [{"a": 1}, 7]}}
    assert stream([]) == {}


def test_a_whole_answer_in_a_stream_is_the_answer() -> None:
    assert stream([CHAT]) == read(CHAT)


def test_an_error_in_mid_stream_is_told_with_what_came_before() -> None:
    failure = {"error": {"code": 400, "message": "Token limit reached"}}
    for chunks, last in [
        (CHAT_STREAM[:3], failure),
        (CHAT_STREAM[:3], {**CHAT_STREAM[2], **failure}),
        (MESSAGE_STREAM[:9], {"type": "error", **failure}),
        (RESPONSE_STREAM[:6], {"type": "error", "code": "400", "message": "Token limit reached"}),
        (
            RESPONSE_STREAM[:6],
            {"type": "response.failed", "response": {**RESPONSE, "status": "failed", "output": [], **failure}},
        ),
        (GEMINI_STREAM[:4], failure),
    ]:
        fields = stream([*chunks, last])
        assert (fields["status"], fields["error_message"]) == ("error", "Token limit reached")
        assert fields["error_type"] == "400"
        assert "H" in str(fields["response"])


@pytest.mark.parametrize("chunks", STREAMS, ids=IDS)
def test_no_part_of_a_chunk_need_be_what_it_should(chunks: list[Any]) -> None:
    changes = list(with_odd_values(chunks))

    assert len(changes) > 200
    assert [changed for changed in changes if "fault" in str(stream(changed).get("extras", {}))] == []
