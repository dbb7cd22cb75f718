"""Streams read by the SDKs' own helpers, by ``with``, closed early or late, or past us: what is stored of them."""

import asyncio
import json
import logging
import logging.handlers
import queue
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib import import_module
from typing import Any

import pytest

from aicore_sqllog import llm_operation, polars_from_db
from tests.conftest import MakeHandler
from tests.support.recordings import RECORDING_HEADER, Recording, served
from tests.support.shapes import CHAT, CHAT_STREAM, MESSAGE_STREAM, RESPONSE_STREAM, chat_chunk, read, stream

Rows = Callable[[], list[dict[str, Any]]]
pytestmark = pytest.mark.backends("sqlite")


@pytest.fixture
def rows(make_handler: MakeHandler, url: str) -> Rows:
    handler = make_handler()

    def read() -> list[dict[str, Any]]:
        assert handler.flush()
        frame = polars_from_db(url, include_messages=True, order_by="operation_id")
        return [{**row, "extras": json.loads(row["extras"])} for row in frame.iter_rows(named=True)]

    return read


def events(chunks: list[dict[str, Any]]) -> bytes:
    """As a provider sends them."""
    named = ((chunk.get("type"), json.dumps(chunk)) for chunk in chunks)
    lines = "".join((f"event: {name}\n" if name else "") + f"data: {data}\n\n" for name, data in named)
    return (lines + ("" if "type" in chunks[0] else "data: [DONE]\n\n")).encode()


TEXT: list[dict[str, Any]] = [
    {
        "type": "message_start",
        "message": {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-x",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 15, "output_tokens": 1},
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Oslo, "}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "of course."}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 9},
    },
    {"type": "message_stop"},
]
ASKED = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "?"}]}
HEADERS = {RECORDING_HEADER: "text"}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    recording = Recording("text", "anthropic", "anthropic.messages", True, 200, "text/event-stream", events(TEXT))
    with served({"text": recording}) as url:
        yield url


@pytest.mark.parametrize(
    "use",
    [
        list,
        lambda stream: list(stream.text_stream),
        lambda stream: stream.get_final_message(),
        lambda stream: stream.until_done(),
        lambda stream: stream.get_final_text(),
    ],
    ids=["events", "text_stream", "get_final_message", "until_done", "get_final_text"],
)
def test_an_sdk_s_helper_tells_as_much_as_the_loop(
    use: Callable[[Any], Any], server: str, rows: Rows, log: logging.Logger
) -> None:
    with import_module("anthropic").Anthropic(base_url=server, api_key="k", max_retries=0) as client:
        with llm_operation(log) as op, op.stream(client.messages.stream(**ASKED, extra_headers=HEADERS)) as stream:
            use(stream)
        ask = llm_operation(log)(client.messages.create)
        for event in ask(**ASKED, stream=True, extra_headers=HEADERS):
            assert event.type
    for row in rows():
        assert row["messages"][0]["content"] == "Oslo, of course."
        assert (row["input_tokens"], row["output_tokens"], row["finish_reason"]) == (15, 9, "end_turn")
        assert (row["status"], row["extras"]["stream"]["state"]) == ("success", "ended")
        assert row["time_to_first_token_ms"] is not None


def test_an_asynchronous_helper_does_too(server: str, rows: Rows, log: logging.Logger) -> None:
    async def main() -> None:
        async with import_module("anthropic").AsyncAnthropic(base_url=server, api_key="k", max_retries=0) as client:
            asked = {**ASKED, "extra_headers": HEADERS}
            async with llm_operation(log) as op, op.stream(client.messages.stream(**asked)) as stream:
                assert [text async for text in stream.text_stream] == ["Oslo, ", "of course."]
            async with llm_operation(log) as op, op.stream(client.messages.stream(**asked)) as stream:
                await anext(stream.text_stream)

    asyncio.run(main())
    whole, left = rows()
    assert (whole["finish_reason"], whole["messages"][0]["content"]) == ("end_turn", "Oslo, of course.")
    assert (left["finish_reason"], left["status"]) == ("abandoned", "cancelled")
    assert left["messages"][0]["content"] == "Oslo, "


def test_managers_are_entered_and_left_as_without_us(rows: Rows, log: logging.Logger) -> None:
    order: list[str] = []

    @contextmanager
    def opened(*, suppress: bool = False) -> Iterator[Iterator[Any]]:
        order.append("open")
        try:
            yield iter(CHAT_STREAM)
        except KeyError:
            if not suppress:
                raise
        finally:
            order.append("closed")

    @asynccontextmanager
    async def opened_later() -> AsyncIterator[AsyncIterator[Any]]:
        async def chunks() -> AsyncIterator[Any]:
            for chunk in CHAT_STREAM:
                yield chunk

        order.append("open")
        try:
            yield chunks()
        finally:
            order.append("closed")

    async def main() -> None:
        async with llm_operation(log) as op, op.stream(opened_later()) as stream:
            order.extend(["read" for _ in [chunk async for chunk in stream]][:1])

    with llm_operation(log) as op, op.stream(opened()) as stream:
        order.extend(["read" for _ in list(stream)][:1])

    def fail() -> None:
        raise KeyError("in the block")

    asyncio.run(main())
    assert order == ["open", "read", "closed"] * 2
    with llm_operation(log) as op, op.stream(opened(suppress=True)):
        fail()
    with pytest.raises(KeyError), llm_operation(log) as op, op.stream(opened()):
        fail()
    assert [row["status"] for row in rows()] == ["success", "success", "cancelled", "error"]


class Source:
    """An asynchronous stream whose ``close()`` is a plain method, as aiobotocore's."""

    def __init__(self) -> None:
        self.closed = 0

    def __aiter__(self) -> "Source":
        return self

    async def __anext__(self) -> str:
        return "chunk"

    def close(self) -> None:
        self.closed += 1


def test_an_asynchronous_stream_is_closed_as_its_source_is(log: logging.Logger) -> None:
    class Awaited(Source):
        async def close(self) -> None:  # type: ignore[override]
            self.closed += 1

    async def main() -> None:
        async with llm_operation(log) as op:
            for source, ways in (
                (Source(), ("close", "await close", "aclose")),
                (Awaited(), ("await close", "aclose")),
            ):
                for count, way in enumerate(ways, 1):
                    stream: Any = op.stream(source)
                    await anext(stream)
                    closing = stream.aclose() if way == "aclose" else stream.close()
                    if way != "close":
                        await closing
                    assert source.closed == count, way

    asyncio.run(main())


def test_only_what_is_known_to_be_left_is_abandoned(rows: Rows, log: logging.Logger) -> None:
    with llm_operation(log, action_id="closed after the end of the answer") as op:
        whole = op.stream(iter(CHAT_STREAM))
        for _ in CHAT_STREAM:
            next(whole)
        whole.close()
    with llm_operation(log, action_id="closed early") as op:
        early = op.stream(iter(CHAT_STREAM))
        next(early), next(early)
        early.close()

    class Elsewhere:
        def __iter__(self) -> Iterator[Any]:
            return iter(CHAT_STREAM)

        def lines(self) -> Iterator[Any]:
            return iter(CHAT_STREAM)

    with llm_operation(log, action_id="read past us") as op:
        list(op.stream(Elsewhere()).lines())
    with llm_operation(log, action_id="still held") as op:
        held = op.stream(iter(CHAT_STREAM))
        next(held)
    assert next(held) == CHAT_STREAM[1]
    found = {
        row["action_id"]: (row["finish_reason"], row["status"], row["extras"]["stream"]["state"]) for row in rows()
    }
    assert found == {
        "closed after the end of the answer": ("tool_calls", "success", "closed"),
        "closed early": ("abandoned", "cancelled", "abandoned"),
        "read past us": (None, "success", "read elsewhere"),
        "still held": (None, "success", "open"),
    }


def test_a_cancellation_writes_no_error_and_keeps_its_traceback(rows: Rows, log: logging.Logger) -> None:
    seen: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    log.addHandler(logging.handlers.QueueHandler(seen))
    for raised in (asyncio.CancelledError(), GeneratorExit(), BaseExceptionGroup("both", [asyncio.CancelledError()])):
        with pytest.raises(type(raised)), llm_operation(log):
            raise raised
    records = [seen.get() for _ in range(3)]
    assert [record.levelno for record in records] == [logging.INFO] * 3
    assert ["Traceback" in record.getMessage() for record in records] == [False] * 3
    for row in rows():
        assert row["status"] == "cancelled"
        assert "raise raised" in row["extras"]["sqllog"]["traceback"]


# Chunks inside events of other SDKs, in pieces, or of no known form


def test_a_provider_s_chunk_inside_another_sdk_s_event_is_found() -> None:
    for chunks in (CHAT_STREAM, MESSAGE_STREAM, RESPONSE_STREAM):
        for wrapped in ([{"data": chunk} for chunk in chunks], [{"delta": "x", "raw": chunk} for chunk in chunks]):
            assert stream(wrapped) == stream(chunks)


def test_azure_s_late_verdict_ends_the_answer() -> None:
    verdict = {"index": 0, "finish_reason": "content_filter", "content_filter_results": {"hate": {"filtered": True}}}
    late = {"id": "", "object": "", "model": "", "choices": [verdict]}

    fields = stream([chat_chunk({"content": "Hi"}), chat_chunk({}, "stop"), late])

    assert (fields["finish_reason"], fields["response"]["content"], fields["response_model"]) == (
        "content_filter",
        "Hi",
        "m",
    )
    assert fields["response"]["content_filter_results"] == {"hate": {"filtered": True}}


def test_what_a_known_stream_does_not_recognise_is_kept_and_its_end_heeded() -> None:
    strange = [{"kind": "safety", "score": 1}, {"kind": "end", "finish_reason": "safety"}]

    fields = stream([*CHAT_STREAM[:3], *strange])

    assert fields["extras"]["chunks"] == strange
    assert fields["finish_reason"] == "safety"


@pytest.mark.parametrize(
    "chunks",
    [
        ["smile \ud83d", "\ude00"],
        [b"smile \xf0\x9f", b"\x98\x80"],
        [chat_chunk({"content": "smile \ud83d"}), chat_chunk({"content": "\ude00"})],
        [{"candidates": [{"content": {"parts": [{"text": text}]}}]} for text in ("smile \ud83d", "\ude00")],
        [
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": t}}
            for t in ("smile \ud83d", "\ude00")
        ],
    ],
    ids=["texts", "bytes", "chat", "gemini", "messages"],
)
def test_a_character_that_was_cut_in_two_is_whole(chunks: list[Any]) -> None:
    response = stream(chunks)["response"]
    assert (response if isinstance(response, str) else response["content"]) == "smile \U0001f600"


@pytest.mark.parametrize("place", ["choice", "beside", "message"])
@pytest.mark.parametrize("streamed", [False, True])
def test_an_error_in_a_choice_is_an_error(place: str, streamed: bool) -> None:
    error = {"code": 502, "message": "Upstream went away"}
    choice: dict[str, Any] = {"index": 0, "finish_reason": "error", "message": {"role": "assistant", "content": "Half"}}
    body: dict[str, Any] = {"object": "chat.completion", "model": "m", "choices": [choice]}
    {"choice": choice, "beside": body, "message": choice["message"]}[place]["error"] = error
    if streamed:
        choice["delta"] = choice.pop("message")
        body["object"] = "chat.completion.chunk"

    fields = stream([body]) if streamed else read(body)

    assert (fields["status"], fields["error_type"], fields["error_message"]) == ("error", "502", "Upstream went away")
    assert (fields["finish_reason"], fields["response"]["content"]) == ("error", "Half")


@pytest.mark.parametrize("empty", ["", " ", None, {}, {"message": ""}, {"code": None, "message": ""}, [], False])
def test_an_empty_error_is_none(empty: object) -> None:

    assert read({**CHAT, "error": empty})["status"] == "success"


def test_an_exception_of_bedrock_s_stream_is_an_error() -> None:
    fields = stream(
        [
            {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "H"}}},
            {"throttlingException": {"message": "Slow"}},
        ]
    )
    assert (fields["status"], fields["error_type"], fields["error_message"]) == ("error", "throttlingException", "Slow")
