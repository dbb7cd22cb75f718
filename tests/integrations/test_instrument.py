"""Instrumented clients of the real SDKs: what is stored of each call, and that the application sees nothing of it."""

import asyncio
import copy
import gc
import json
import logging
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib import import_module
from typing import Any

import pytest

from aicore_sqllog import instrument, llm_operation, llm_session, polars_from_db, uninstrument
from aicore_sqllog.capture import silence
from tests.conftest import MakeHandler
from tests.responses.test_helpers import TEXT, events
from tests.support.recordings import RECORDING_HEADER, Recording, served
from tests.support.shapes import CHAT, CHAT_STREAM, GEMINI, MESSAGE, RESPONSE

pytestmark = [
    pytest.mark.backends("sqlite"),
    # google-genai does so where aiohttp is there, which other packages bring.
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
]

Rows = Callable[[], list[dict[str, Any]]]
Ask = dict[str, Any]

QUESTION = [{"role": "user", "content": "Where?"}]
TOOLS = [{"type": "function", "function": {"name": "wave", "parameters": {"type": "object", "properties": {}}}}]
FAILURE = {"error": {"message": "no such model", "type": "invalid_request_error", "code": "model_not_found"}}
IMAGE = {"created": 1, "data": [{"b64_json": "aGk="}], "usage": {"input_tokens": 5, "output_tokens": 9}}
RESPONSE_EVENTS: list[dict[str, Any]] = [
    {"type": "response.created", "sequence_number": 0, "response": {**RESPONSE, "output": [], "usage": None}},
    {"type": "response.completed", "sequence_number": 1, "response": RESPONSE},
]
EVENT_OF_GEMINI = f"data: {json.dumps(GEMINI)}\n\n".encode() * 2
VECTOR = {
    "object": "list",
    "model": "e",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}],
    "usage": {"prompt_tokens": 4, "total_tokens": 4},
}


def answer(body: object, status: int = 200) -> Recording:
    """A recording of a whole answer."""
    return Recording("a", "p", "c", False, status, "application/json", json.dumps(body).encode())


def streamed(chunks: list[dict[str, Any]]) -> Recording:
    """A recording of a stream."""
    return Recording("a", "p", "c", True, 200, "text/event-stream", events(chunks))


class Answers(dict[str, Recording]):
    """Answers by name; of one that is to be tried again, the failure comes first."""

    def __init__(self) -> None:
        super().__init__(
            chat=answer(CHAT),
            chat_stream=streamed(CHAT_STREAM),
            without_usage=streamed([chunk for chunk in CHAT_STREAM if "usage" not in chunk]),
            response=answer(RESPONSE),
            response_stream=streamed(RESPONSE_EVENTS),
            message=answer(MESSAGE),
            message_stream=streamed(TEXT),
            failure=answer(FAILURE, 404),
            image=answer(IMAGE),
            vector=answer(VECTOR),
            gemini=answer(GEMINI),
            gemini_stream=Recording("a", "p", "c", True, 200, "text/event-stream", EVENT_OF_GEMINI),
        )
        self.failures = 0

    def __getitem__(self, name: str) -> Recording:
        if name == "busy":
            self.failures += 1
            return answer(FAILURE, 503) if self.failures < 3 else answer(CHAT)
        return super().__getitem__(name)


def chosen(name: str) -> Ask:
    """What makes the server answer with the recording *name*."""
    return {"extra_headers": {RECORDING_HEADER: name}}


def chosen_by_google(name: str, **config: Any) -> Ask:
    return {"config": {"http_options": {"headers": {RECORDING_HEADER: name}}, **config}}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(silence, "_told", set())
    with served(Answers()) as url:
        yield url


@pytest.fixture
def openai(server: str) -> Iterator[Any]:
    with import_module("openai").OpenAI(base_url=server, api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture
def anthropic(server: str) -> Iterator[Any]:
    with import_module("anthropic").Anthropic(base_url=server, api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture
def gemini(server: str) -> Iterator[Any]:
    http = {"base_url": server, "retry_options": {"attempts": 1}}
    with import_module("google.genai").Client(api_key="k", http_options=http) as client:
        yield client


@pytest.fixture
def rows(make_handler: MakeHandler, url: str) -> Rows:
    handler = make_handler()

    def read() -> list[dict[str, Any]]:
        assert handler.flush()
        frame = polars_from_db(url, include_messages=True, order_by="operation_id")
        return [{**row, "extras": json.loads(row["extras"])} for row in frame.iter_rows(named=True)]

    return read


def told(row: dict[str, Any]) -> dict[str, Any]:
    """A row without what differs from call to call: ids, times, and where the code stood that failed."""
    own = {name: item for name, item in row["extras"]["sqllog"].items() if name not in ("minted_id", "traceback")}
    changing = ("operation_id", "session_id", "timestamp", "latency_ms", "time_to_first_token_ms")
    kept = {name: item for name, item in row.items() if name not in changing}
    return {**kept, "extras": {**row["extras"], "sqllog": own}}


# -- a script as a new user would write it --------------------------------------------------------------


def test_a_script_leaves_the_rows_that_llm_operation_would(openai: Any, rows: Rows, log: logging.Logger) -> None:
    bad = import_module("openai").NotFoundError
    chat = openai.chat.completions
    plain = {"model": "m", "messages": QUESTION}
    with_tools, as_stream = {**plain, "tools": TOOLS}, {**plain, "stream": True}

    for request, name in ((plain, "failure"), (with_tools, "chat"), (as_stream, "chat_stream")):
        try:
            with llm_operation(log, operation_type="chat", model="m", completion_args=request) as op:
                got = chat.create(**request, **chosen(name))
                for _ in op.stream(got) if "stream" in request else [op.record(got)]:
                    pass
        except bad:
            pass

    instrument(openai, log)  # the one line more
    with pytest.raises(bad, match="no such model"):
        chat.create(**plain, **chosen("failure"))
    assert chat.create(**with_tools, **chosen("chat")).choices[0].message.content == "Hi"
    texts = [c.choices[0].delta.content for c in chat.create(**as_stream, **chosen("chat_stream")) if c.choices]
    assert "".join(text or "" for text in texts) == "Hello"

    by_hand, instrumented = rows()[:3], rows()[3:]
    assert [told(row) for row in instrumented] == [told(row) for row in by_hand]
    assert [row["status"] for row in instrumented] == ["error", "success", "success"]
    assert instrumented[1]["extras"]["sqllog"]["request"] == {"tools": TOOLS}
    assert '"name":"wave"' in instrumented[2]["messages"][-1]["parts"]
    assert instrumented[2]["time_to_first_token_ms"] is not None


def test_an_asynchronous_script_does_too(server: str, rows: Rows, log: logging.Logger) -> None:
    sdk = import_module("openai")
    plain: Ask = {"model": "m", "messages": QUESTION}

    async def main() -> None:
        async with sdk.AsyncOpenAI(base_url=server, api_key="k", max_retries=0) as client:
            chat = client.chat.completions
            async with llm_operation(log, operation_type="chat", model="m", completion_args=plain) as op:
                op.record(await chat.create(**plain, **chosen("chat")))
            request = {**plain, "stream": True}
            async with llm_operation(log, operation_type="chat", model="m", completion_args=request) as op:
                async for _ in op.stream(await chat.create(**request, **chosen("chat_stream"))):
                    pass
            instrument(client, log)
            await chat.create(**plain, **chosen("chat"))
            async for _ in await chat.create(**request, **chosen("chat_stream")):
                pass
            with pytest.raises(sdk.NotFoundError):
                await chat.create(**plain, **chosen("failure"))

    asyncio.run(main())
    found = [told(row) for row in rows()]
    assert found[2:4] == found[:2]
    assert (found[4]["status"], found[4]["error_message"]) == ("error", "no such model")


# -- every way to ask -----------------------------------------------------------------------------------


def use_everything_of_openai(client: Any) -> None:
    chat, plain = client.chat.completions, {"model": "m", "messages": QUESTION}
    chat.parse(**plain, **chosen("chat"))
    with chat.stream(**plain, **chosen("chat_stream")) as stream:
        assert stream.get_final_completion().choices[0].message.content == "Hello"
    assert chat.with_raw_response.create(**plain, **chosen("chat")).parse().id == "chatcmpl-1"
    for read in ("parse", "read"):
        with chat.with_streaming_response.create(**plain, **chosen("chat")) as raw:
            assert getattr(raw, read)()
    with chat.with_streaming_response.create(**plain, stream=True, **chosen("chat_stream")) as raw:
        assert len(list(raw.parse())) == len(CHAT_STREAM)
    assert client.with_options(timeout=9).chat.completions.create(**plain, **chosen("chat")).id == "chatcmpl-1"
    client.responses.create(model="m", input="Where?", instructions="Be brief.", **chosen("response"))
    with client.responses.stream(model="m", input="Where?", **chosen("response_stream")) as stream:
        assert stream.get_final_response().id


def test_helpers_raw_responses_and_copies_are_calls(openai: Any, rows: Rows, log: logging.Logger) -> None:
    use_everything_of_openai(instrument(openai, log))
    found = rows()
    assert len(found) == 9
    for row in found:
        assert (row["operation_type"], row["model"], row["status"]) == ("chat", "m", "success"), row
        assert row["input_tokens"] == 9
        assert row["messages"][-1]["role"] == "assistant"
        assert row["messages"][-2]["content"] == "Where?"
        assert "stream" not in row["extras"] or row["extras"]["stream"]["state"] == "ended"
    assert [message["content"] for message in found[7]["messages"][:2]] == ["Be brief.", "Where?"]


def test_what_is_no_text_is_a_call_too(openai: Any, rows: Rows, log: logging.Logger) -> None:
    instrument(openai, log)
    openai.embeddings.create(model="e", input=["a", "b"], **chosen("vector"))
    openai.images.generate(model="i", prompt="a cat", **chosen("image"))
    openai.post("/files", cast_to=object, body={"purpose": "x"}, options={"headers": {RECORDING_HEADER: "chat"}})
    embedding, image = rows()
    assert (embedding["operation_type"], embedding["input_tokens"]) == ("embeddings", 4)
    assert [message["content"] for message in embedding["messages"][:2]] == ["a", "b"]
    assert (image["operation_type"], image["output_tokens"]) == ("image_generation", 9)
    assert (image["messages"][0]["content"], "aGk=" in json.dumps(image["extras"])) == ("a cat", False)


def test_calls_of_anthropic(anthropic: Any, rows: Rows, log: logging.Logger) -> None:
    instrument(anthropic, log)
    asked: Ask = {"model": "c", "max_tokens": 9, "messages": QUESTION, "system": "Be brief."}
    anthropic.messages.create(**asked, **chosen("message"))
    with anthropic.messages.stream(**asked, **chosen("message_stream")) as stream:
        assert list(stream.text_stream) == ["Oslo, ", "of course."]
    anthropic.beta.messages.create(**asked, **chosen("message"))
    anthropic.messages.count_tokens(model="c", messages=QUESTION, **chosen("vector"))
    found = rows()
    assert [(row["operation_type"], row["status"], row["input_tokens"]) for row in found] == [
        ("chat", "success", 543),
        ("chat", "success", 15),
        ("chat", "success", 543),
    ]
    for row in found:
        assert [message["role"] for message in row["messages"]] == ["system", "user", "assistant"]
        assert row["extras"]["sqllog"]["request"].keys() <= {"max_tokens", "stream"}


def test_calls_of_gemini_and_of_its_chats(gemini: Any, rows: Rows, log: logging.Logger) -> None:
    instrument(gemini, log)
    types = import_module("google.genai").types
    asked = chosen_by_google("gemini", system_instruction="Be brief.", temperature=0.5)
    gemini.models.generate_content(model="g", contents="Where?", **asked)
    parts = ["Where?", types.Part.from_text(text="Now.")]
    assert list(gemini.models.generate_content_stream(model="g", contents=parts, **chosen_by_google("gemini_stream")))
    gemini.chats.create(model="g", **chosen_by_google("gemini")).send_message("Where?")

    async def main() -> None:
        await gemini.aio.models.generate_content(model="g", contents="Where?", **asked)
        got = await gemini.aio.models.generate_content_stream(
            model="g", contents="Where?", **chosen_by_google("gemini_stream")
        )
        assert len([chunk async for chunk in got]) == 2
        await gemini.aio.aclose()

    asyncio.run(main())
    found = rows()
    assert len(found) == 5
    for row in found:
        assert (row["provider"], row["operation_type"], row["status"]) == ("gcp.gemini", "generate_content", "success")
        assert row["messages"][-1]["content"].startswith("Hi")
    assert [message["content"] for message in found[0]["messages"][:2]] == ["Be brief.", "Where?"]
    assert found[0]["extras"]["sqllog"]["request"] == {"temperature": 0.5}
    assert found[1]["messages"][0]["content"] == "Where?\nNow."
    assert told(found[3]) == told(found[0])


# -- around a call ---------------------------------------------------------------------------------------


def test_calls_are_of_the_session_and_operation_around_them(openai: Any, rows: Rows, log: logging.Logger) -> None:
    instrument(openai, log, action_id="step", extras={"team": "a"})

    def ask(number: int) -> None:
        with llm_session(f"chat-{number}"), llm_operation(log, operation_type="agent", action_id=f"{number}"):
            openai.chat.completions.create(model="m", messages=QUESTION, **chosen("chat"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, range(8)))
    agents = {row["operation_id"]: row for row in rows() if row["operation_type"] == "agent"}
    calls = [row for row in rows() if row["operation_type"] == "chat"]
    assert (len(agents), len(calls)) == (8, 8)
    for call in calls:
        agent = agents.pop(call["parent_operation_id"])
        assert call["session_key"] == f"chat-{agent['action_id']}"
        assert (call["action_id"], call["extras"]["team"]) == ("step", "a")


def test_what_the_sdk_tries_again_is_one_call(openai: Any, rows: Rows, log: logging.Logger) -> None:
    again = instrument(openai, log).with_options(max_retries=3)
    again._calculate_retry_timeout = lambda *_: 0.0
    assert again.chat.completions.create(model="m", messages=QUESTION, **chosen("busy")).id == "chatcmpl-1"
    (row,) = rows()
    assert (row["status"], row["input_tokens"]) == ("success", 9)


def test_a_stream_that_is_left_early_is_cancelled(
    openai: Any, anthropic: Any, gemini: Any, rows: Rows, log: logging.Logger
) -> None:
    for client in (openai, anthropic, gemini):
        instrument(client, log)
    next(openai.chat.completions.create(model="m", messages=QUESTION, stream=True, **chosen("chat_stream")))
    openai.responses.create(model="m", input="?", stream=True, **chosen("response_stream")).close()
    with anthropic.messages.stream(model="m", max_tokens=9, messages=QUESTION, **chosen("message_stream")) as stream:
        next(iter(stream))
    next(gemini.models.generate_content_stream(model="g", contents="?", **chosen_by_google("gemini_stream")))
    gc.collect()
    found = [(row["model"], row["status"], row["error_type"]) for row in rows()]
    assert found[:3] == [("m", "cancelled", None)] * 3
    assert found[3][0] == "g"


def test_a_stream_without_usage_is_told_once_with_the_remedy(
    openai: Any, make_handler: MakeHandler, log: logging.Logger
) -> None:
    heard: list[tuple[str, str]] = []
    make_handler(on_notice=lambda reason, text: heard.append((reason, text)))
    instrument(openai, log)
    for name in ("chat_stream", "without_usage", "without_usage"):
        list(openai.chat.completions.create(model="m", messages=QUESTION, stream=True, **chosen(name)))
    ((reason, text),) = heard
    assert reason == "no usage"
    assert 'stream_options={"include_usage": True}' in text


# -- what becomes of the client --------------------------------------------------------------------------


def test_uninstrumented_it_is_as_it_was(openai: Any, gemini: Any, rows: Rows, log: logging.Logger) -> None:
    before = [dict(vars(openai)), dict(vars(gemini.models)), dict(vars(gemini.aio.models))]
    for client in (openai, gemini):
        assert instrument(client, log) is client
        assert uninstrument(client) is client
    assert [dict(vars(openai)), dict(vars(gemini.models)), dict(vars(gemini.aio.models))] == before
    openai.chat.completions.create(model="m", messages=QUESTION, **chosen("chat"))
    log.info("x", extra={"llm": {"action_id": "by hand"}})
    assert [row["action_id"] for row in rows()] == ["by hand"]


def test_instrumented_twice_it_logs_as_it_was_told_last(openai: Any, rows: Rows, log: logging.Logger) -> None:
    instrument(instrument(openai, log, action_id="first"), log, action_id="last")
    openai.chat.completions.create(model="m", messages=QUESTION, **chosen("chat"))
    uninstrument(openai)
    openai.chat.completions.create(model="m", messages=QUESTION, **chosen("chat"))
    assert [row["action_id"] for row in rows()] == ["last"]


def test_others_may_replace_what_is_instrumented(openai: Any, rows: Rows, log: logging.Logger) -> None:
    instrument(openai, log)
    ours, passed = openai.request, []

    def theirs(*args: Any, **kwargs: Any) -> Any:
        passed.append(args)
        return ours(*args, **kwargs)

    openai.request = theirs
    openai.chat.completions.create(model="m", messages=QUESTION, **chosen("chat"))
    uninstrument(openai)
    copy.copy(openai).chat.completions.create(model="m", messages=QUESTION, **chosen("chat"))
    assert (len(rows()), len(passed)) == (1, 2)


def test_a_client_that_is_dropped_goes(server: str, log: logging.Logger) -> None:
    sdk = import_module("openai")

    class Own(sdk.OpenAI):  # type: ignore[misc,name-defined]
        """A subclass of the application's."""

    client = instrument(Own(base_url=server, api_key="k"), log)
    assert type(client) is Own
    gone = weakref.ref(client)
    client.chat.completions.create(model="m", messages=QUESTION, **chosen("chat"))
    client.close()
    del client
    gc.collect()
    assert gone() is None


def test_all_clients_of_an_sdk_only_where_asked(
    openai: Any, anthropic: Any, gemini: Any, rows: Rows, log: logging.Logger
) -> None:
    def ask_all() -> None:
        openai.chat.completions.create(model="m", messages=QUESTION, **chosen("chat"))
        anthropic.messages.create(model="m", max_tokens=9, messages=QUESTION, **chosen("message"))
        gemini.models.generate_content(model="m", contents="?", **chosen_by_google("gemini"))

    with ExitStack() as undo:
        for name in ("openai", "anthropic", "google-genai"):
            undo.callback(uninstrument, instrument(name, log, action_id="all"))
        ask_all()
        instrument(openai, log, action_id="one")
        ask_all()
    uninstrument(openai)
    ask_all()
    assert [row["action_id"] for row in rows()] == ["all", "all", "all", "one", "all", "all"]


def test_what_cannot_be_instrumented_is_refused_by_name(openai: Any, log: logging.Logger) -> None:
    with pytest.raises(TypeError, match=r"builtins\.object cannot be instrumented"):
        instrument(object(), log)
    with pytest.raises(TypeError, match="There are: openai, anthropic, google-genai"):
        instrument("open-ai", log)
    with pytest.raises(TypeError, match="Did you mean 'user_id'"):
        instrument(openai, log, user="ann")


def test_no_text_is_stored_where_none_is_wanted(openai: Any, rows: Rows, log: logging.Logger) -> None:
    instrument(openai, log, capture_content=False)
    openai.responses.create(model="m", input="Where?", instructions="Be brief.", **chosen("response"))
    (row,) = rows()
    assert "Where?" not in str(row)
    assert "Be brief." not in str(row)
    assert row["input_tokens"] == 9
