"""llm_session and llm_operation: what is logged, in which session, as whose child, and nothing disturbs the block."""

import asyncio
import concurrent.futures
import contextlib
import contextvars
import gc
import json
import logging
import logging.handlers
import pickle
import queue
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from aicore_sqllog import OperationScope, SQLLogHandler, llm_operation, llm_session, polars_from_db
from tests.conftest import MakeHandler
from tests.support.servers import ONE_OF_EACH, query

pytestmark = pytest.mark.backends("sqlite")  # what is logged does not depend on where it is stored

Rows = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def rows(make_handler: MakeHandler, url: str) -> Rows:
    """What is stored, in the order of the log calls, with ``extras`` decoded."""
    handler = make_handler()

    def read() -> list[dict[str, Any]]:
        assert handler.flush()
        frame = polars_from_db(url, include_messages=True)
        return [{**row, "extras": json.loads(row["extras"])} for row in frame.iter_rows(named=True)]

    return read


# -- sessions ------------------------------------------------------------------------------------


def test_a_record_s_own_wins_over_the_session_s_and_that_over_the_handler_s(
    make_handler: MakeHandler, log: logging.Logger, path: Path
) -> None:
    handler = make_handler(workspace="hw", agent_id="ha", user_id="hu", session_id="hs")
    with llm_session("s", agent_id="sa", user_id="su", metadata={"k": [1]}) as session_id:
        assert session_id == "s"
        log.info("x", extra={"llm": {"user_id": "ru"}})
        log.info("x", extra={"llm": {"session_id": "other"}})
    log.info("x", extra={"llm": {}})
    assert handler.flush()
    select = (
        "select session_key, o.workspace, o.agent_id, user_id, metadata from llm_operations o join llm_sessions using"
    )
    assert query(path, f"{select} (session_id) order by operation_id") == [
        ("s", "hw", "sa", "ru", '{"k":[1]}'),
        ("other", "hw", "sa", "su", None),
        ("hs", "hw", "ha", "hu", None),
    ]


def test_sessions_nest_and_what_is_left_out_stays(rows: Rows, log: logging.Logger) -> None:
    with llm_session("outer", workspace="w", user_id="u", metadata="m"):
        with llm_session(agent_id="a"):
            log.info("x", extra={"llm": {"action_id": "refined"}})
        with llm_session("inner", user_id="v"):
            log.info("x", extra={"llm": {"action_id": "inner"}})
        log.info("x", extra={"llm": {"action_id": "outer"}})
    with llm_session() as minted:
        log.info("x", extra={"llm": {"action_id": "minted"}})
    found = {row["action_id"]: row for row in rows()}
    picked = {
        name: (row["session_key"], row["workspace"], row["agent_id"], row["user_id"], row["session_metadata"])
        for name, row in found.items()
    }
    assert picked == {
        "refined": ("outer", "w", "a", "u", '"m"'),
        "inner": ("inner", "w", None, "v", None),
        "outer": ("outer", "w", None, "u", '"m"'),
        "minted": (None, None, None, None, None),
    }
    assert found["minted"]["session_id"] == minted


def test_a_session_is_a_decorator_too(rows: Rows, log: logging.Logger) -> None:
    @llm_session("decorated")
    def say(number: int) -> int:
        log.info("x", extra={"llm": {"input_tokens": number}})
        return number if number == 0 else say(number - 1)

    @llm_session("decorated")
    async def say_later(number: int) -> int:
        await asyncio.sleep(0)
        return say(number)

    async def main() -> list[int]:
        return await asyncio.gather(*(say_later(3) for _ in range(4)))

    assert asyncio.run(main()) == [0] * 4
    assert {row["session_key"] for row in rows()} == {"decorated"}


# -- operations ----------------------------------------------------------------------------------


@ONE_OF_EACH
def test_an_operation_is_one_record(rows: Rows, log: logging.Logger) -> None:
    messages = [{"role": "user", "content": "hi"}]
    with llm_operation(log, provider="p", model="m", messages=messages, action_id="a", extras={"k": 1}) as op:
        assert isinstance(op, OperationScope)
        messages.append({"role": "user", "content": "later"})
        begun = time.perf_counter()
        while time.perf_counter() - begun < 0.02:
            pass
        op.first_token()
        assert op.record("yo") == "yo"
        op.set(cost=0.5, input_tokens=3, extras={"n": 2})
        op.first_token()
    (row,) = rows()
    assert (row["provider"], row["model"], row["action_id"], row["status"]) == ("p", "m", "a", "success")
    assert (row["cost"], row["input_tokens"], row["operation_type"]) == (0.5, 3, "completion")
    assert row["operation_id"] == op.operation_id
    assert 20 <= row["time_to_first_token_ms"] <= row["latency_ms"] < 5000
    assert [(m["role"], m["content"]) for m in row["messages"]] == [("user", "hi"), ("assistant", "yo")]
    assert (row["extras"]["k"], row["extras"]["n"]) == (1, 2)


@pytest.mark.parametrize(
    ("raised", "status"),
    [
        (ValueError("bad"), "error"),
        (KeyboardInterrupt("bad"), "error"),
        (SystemExit("bad"), "error"),
        (asyncio.CancelledError("bad"), "cancelled"),
        (GeneratorExit("bad"), "cancelled"),
    ],
)
def test_an_exception_is_logged_and_goes_on_untouched(
    raised: BaseException, status: str, rows: Rows, log: logging.Logger
) -> None:
    with pytest.raises(type(raised)) as caught, llm_operation(log, model="m"):
        raise raised
    assert caught.value is raised
    assert raised.__cause__ is None
    assert raised.__context__ is None
    (row,) = rows()
    assert (row["status"], row["error_message"]) == (status, "bad")
    assert row["error_type"].endswith(type(raised).__name__)
    assert "raise raised" in row["extras"]["sqllog"]["traceback"]
    assert row["latency_ms"] is not None


def test_an_sdk_s_exception_tells_what_the_provider_said(rows: Rows, log: logging.Logger) -> None:
    body = {"error": {"message": "Slow down", "type": "rate_limit_error", "code": None}}

    class RateLimitError(Exception):
        status_code = 429

        def __init__(self) -> None:
            super().__init__("Error code: 429 - {...}")
            self.body = body

    with pytest.raises(RateLimitError), llm_operation(log, provider="mine", model="m"):
        raise RateLimitError
    (row,) = rows()
    assert (row["status"], row["error_type"], row["error_message"]) == ("error", "rate_limit_error", "Slow down")
    assert (row["provider"], row["extras"]["status_code"], row["extras"]["error"]) == ("mine", 429, body["error"])
    assert "RateLimitError: Error code: 429" in row["extras"]["sqllog"]["traceback"]


class UnprintableError(Exception):
    """Its text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "raised",
    [
        ValueError("two\nlines: here"),
        TimeoutError(),
        UnprintableError(),
        ExceptionGroup("many", [KeyError("a"), OSError("b")]),
        asyncio.CancelledError(),
    ],
    ids=lambda raised: type(raised).__name__,
)
def test_an_error_is_the_same_directly_behind_a_queue_and_pickled(
    raised: BaseException, rows: Rows, log: logging.Logger
) -> None:
    (handler,) = log.handlers
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    listener = logging.handlers.QueueListener(waiting, handler)
    listener.start()

    class Socket(logging.handlers.SocketHandler):
        def emit(self, record: logging.LogRecord) -> None:
            handler.handle(logging.makeLogRecord(pickle.loads(self.makePickle(record)[4:])))

    ways = (handler, logging.handlers.QueueHandler(waiting), Socket("localhost", 1))
    for way in ways:
        log.handlers[:] = [way]
        with contextlib.suppress(type(raised)), llm_operation(log, model="m"):
            raise raised
    listener.stop()
    log.handlers[:] = [handler]
    found = [(row["status"], row["error_type"], row["error_message"]) for row in rows()]
    assert found == found[:1] * 3
    assert found[0][0] == ("cancelled" if isinstance(raised, asyncio.CancelledError) else "error")
    assert all("raise raised" in row["extras"]["sqllog"]["traceback"] for row in rows())


def test_the_traceback_of_a_plain_record_is_found_where_queues_and_sockets_leave_it(
    rows: Rows, log: logging.Logger
) -> None:
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    (handler,) = log.handlers
    log.handlers[:] = [logging.handlers.QueueHandler(waiting)]
    try:
        raise ValueError("two\nlines: here")
    except ValueError:
        log.exception("failed", extra={"llm": {"model": "m"}})
    log.handlers[:] = [handler]
    handler.handle(waiting.get())
    (row,) = rows()
    assert (row["error_type"], row["error_message"]) == ("ValueError", "two\nlines: here")
    assert row["extras"]["sqllog"]["traceback"].startswith("Traceback")


def test_an_exception_after_a_good_response_is_an_error_unless_the_caller_says_otherwise(
    rows: Rows, log: logging.Logger
) -> None:
    answer: dict[str, Any] = {
        "object": "chat.completion",
        "choices": [{"message": {"role": "assistant", "content": "hi"}}],
    }
    for status in (None, "refused"):
        with pytest.raises(ValueError, match="Expecting"), llm_operation(log, model="m", status=status) as op:
            json.loads(op.record(answer)["object"])
    assert [row["status"] for row in rows()] == ["error", "refused"]


def test_a_task_s_cancellation_is_logged_and_reaches_the_task(rows: Rows, log: logging.Logger) -> None:
    async def main() -> bool:
        entered = asyncio.Event()

        async def call() -> None:
            async with llm_operation(log, model="m"):
                entered.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(call())
        await entered.wait()
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(main())
    assert [(row["status"], row["error_type"]) for row in rows()] == [
        ("cancelled", "asyncio.exceptions.CancelledError")
    ]


def test_operations_nest_and_plain_records_are_children_too(rows: Rows, log: logging.Logger) -> None:
    with llm_session("s", agent_id="a"), llm_operation(log, operation_type="agent") as agent:
        with llm_operation(log, model="m1", user_id="u") as inner:
            log.info("x", extra={"llm": {"operation_type": "plain"}})
        with llm_operation(log, model="m2", operation_id="mine"), llm_operation(log, model="m3"):
            pass
    found = {row["model"] or row["operation_type"]: row for row in rows()}
    assert {row["session_key"] for row in found.values()} == {"s"}
    parents = {name: row["parent_operation_id"] for name, row in found.items()}
    assert parents == {
        "agent": None,
        "m1": agent.operation_id,
        "plain": inner.operation_id,
        "m2": agent.operation_id,
        "m3": found["m2"]["operation_id"],
    }
    assert found["plain"]["user_id"] == "u", "what an operation says of its caller holds inside it"


def test_an_unknown_field_is_a_type_error_that_names_the_nearest(log: logging.Logger) -> None:
    with pytest.raises(TypeError, match="'input_tokens'"):
        llm_operation(log, input_token=1)
    with llm_operation(log) as op, pytest.raises(TypeError, match="'latency_ms'"):
        op.set(latency=1)


def test_nothing_that_logging_does_reaches_the_block(
    log: logging.Logger, make_handler: MakeHandler, capfd: pytest.CaptureFixture[str]
) -> None:
    make_handler()

    def refuse(record: logging.LogRecord) -> bool:
        raise RuntimeError("secret")

    class Hostile:
        def __str__(self) -> str:
            raise RuntimeError("secret")

        __repr__ = __str__
        __eq__ = None  # type: ignore[assignment]

    with llm_operation(log, model=Hostile(), session_id=Hostile(), messages=Hostile()) as op:  # type: ignore[arg-type]
        op.record(Hostile())
        op.set(cost=Hostile())
    log.addFilter(refuse)
    try:
        with llm_operation(log, model="m"):
            done = True
    finally:
        log.removeFilter(refuse)
    assert done
    said = capfd.readouterr().err
    assert "an operation could not be logged: RuntimeError" in said
    assert "secret" not in said


def test_loggers_adapters_and_names(rows: Rows, log: logging.Logger) -> None:
    adapter = logging.LoggerAdapter(logging.LoggerAdapter(log, {"inner": 1}), {"outer": 2})
    for logger in (log, adapter, log.name):
        with llm_operation(logger, model="m"):
            pass
    extras = [{k: v for k, v in row["extras"].items() if k != "sqllog"} for row in rows()]
    assert extras == [{}, {"inner": 1, "outer": 2}, {}]


def test_a_decorated_function_is_an_operation_and_what_it_returns_its_response(rows: Rows, log: logging.Logger) -> None:
    @llm_operation(log, model="m")
    def ask(number: int) -> str:
        op = llm_operation.current()
        assert op is not None
        op.set(input_tokens=number)
        return f"answer {number}"

    @llm_operation(log, model="m")
    async def ask_later(number: int) -> str:
        await asyncio.sleep(0)
        op = llm_operation.current()
        assert op is not None
        op.record("recorded")
        return f"returned {number}"

    async def main() -> list[str]:
        return await asyncio.gather(*(ask_later(number) for number in range(50)))

    assert ask(1) == "answer 1"
    assert ask.__name__ == "ask"
    assert asyncio.run(main()) == [f"returned {number}" for number in range(50)]
    contents = [row["messages"][0]["content"] for row in rows()]
    assert contents == ["answer 1"] + ["recorded"] * 50
    assert llm_operation.current() is None


def test_through_a_queue_a_record_keeps_its_surroundings(log: logging.Logger, url: str) -> None:
    """A ``QueueListener`` runs the handler on a thread that knows nothing of the caller's context."""
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    handler = SQLLogHandler(url, flush_interval=3600)
    log.addHandler(logging.handlers.QueueHandler(waiting))
    listener = logging.handlers.QueueListener(waiting, handler)
    listener.start()
    with llm_session("s", user_id="u", metadata={"k": 1}), llm_operation(log, model="outer") as op:
        llm_operation(log, model="inner")(str)()
    listener.stop()
    assert handler.flush()
    handler.close()
    frame = polars_from_db(url)
    assert frame["session_key"].to_list() == ["s", "s"]
    assert frame["user_id"].to_list() == ["u", "u"]
    assert [json.loads(text) for text in frame["session_metadata"]] == [{"k": 1}] * 2
    assert frame["parent_operation_id"].to_list() == [op.operation_id, None]


# -- streams -------------------------------------------------------------------------------------


def test_chunks_pass_at_once_and_are_gathered(rows: Rows, log: logging.Logger) -> None:
    sent: list[str] = []

    def source() -> Iterator[str]:
        for chunk in ("", "Par", "is."):
            sent.append(chunk)
            yield chunk

    with llm_operation(log, model="m", messages="q") as op:
        got = []
        for chunk in op.stream(source()):
            got.append(chunk)
            assert got == sent, "no chunk is read ahead"
    (row,) = rows()
    assert [m["content"] for m in row["messages"]] == ["q", "Paris."]
    assert row["extras"]["stream"] == {"chunks": 3, "state": "ended"}
    assert row["time_to_first_token_ms"] is not None
    assert row["finish_reason"] is None


def test_an_abandoned_stream_is_recorded_as_such(rows: Rows, log: logging.Logger) -> None:
    async def source() -> AsyncIterator[str]:
        for chunk in ("one ", "two ", "three"):
            yield chunk

    async def main() -> None:
        async with llm_operation(log, model="m") as op, op.stream(source()) as stream:
            async for _ in stream:
                break
            await stream.aclose()
        async with llm_operation(log, model="m") as op:
            async for _ in op.stream(source()):
                break

    asyncio.run(main())
    for row in rows():
        assert row["finish_reason"] == "abandoned"
        assert row["extras"]["stream"] == {"chunks": 1, "state": "abandoned"}
        assert row["messages"][0]["content"] == "one "


def test_an_exception_in_a_stream_is_recorded_also_when_it_is_caught(rows: Rows, log: logging.Logger) -> None:
    def source() -> Iterator[str]:
        yield "part"
        raise ConnectionError("reset")

    with pytest.raises(ConnectionError), llm_operation(log, model="through") as op:
        list(op.stream(source()))
    with llm_operation(log, model="caught") as op, contextlib.suppress(ConnectionError):
        list(op.stream(source()))
    for row in rows():
        assert (row["status"], row["error_type"], row["error_message"]) == ("error", "ConnectionError", "reset")
        assert row["messages"][0]["content"] == "part"
        assert row["extras"]["stream"]["state"] == "failed"


def test_a_stream_that_is_returned_unread_keeps_its_operation_open(rows: Rows, log: logging.Logger) -> None:
    def ask() -> Iterator[str]:
        with llm_session("s"), llm_operation(log, model="m") as op:
            return op.stream(iter(["a", "b"]))

    stream = ask()
    (handler,) = log.handlers
    assert isinstance(handler, SQLLogHandler)
    assert handler.stats().accepted == 0
    assert list(stream) == ["a", "b"]
    (row,) = rows()
    assert (row["session_key"], row["messages"][0]["content"]) == ("s", "ab")
    never_read = ask()
    del never_read
    gc.collect()
    assert rows()[1]["finish_reason"] == "abandoned"


def test_a_source_that_can_be_read_either_way_is(rows: Rows, log: logging.Logger) -> None:
    class Either:
        def __iter__(self) -> Iterator[str]:
            yield from "ab"

        async def __aiter__(self) -> AsyncIterator[str]:
            for chunk in "cd":
                yield chunk

    async def main() -> None:
        async with llm_operation(log) as op:
            assert [chunk async for chunk in op.stream(Either())] == ["c", "d"]

    with llm_operation(log) as op:
        stream: Any = op.stream(Either())
        assert list(stream) == ["a", "b"]
    asyncio.run(main())
    assert [row["messages"][0]["content"] for row in rows()] == ["ab", "cd"]


def test_an_sdk_s_stream_keeps_its_other_attributes(log: logging.Logger) -> None:
    class SdkStream:
        response = "raw"
        closed = False

        def __iter__(self) -> Iterator[str]:
            return iter(["x"])

        def close(self) -> None:
            self.closed = True

    source = SdkStream()
    with llm_operation(log) as op:
        stream = op.stream(source)
        assert stream.response == "raw"
        stream.close()
    assert source.closed


def test_a_generator_that_is_closed_elsewhere_ends_its_own_operation_only(rows: Rows, log: logging.Logger) -> None:
    """As with a streaming answer of a web framework, whose generator another task may close."""

    def answer() -> Generator[str, None, None]:
        with llm_session("inner"), llm_operation(log, model="inner") as op:
            yield from op.stream(iter("abc"))

    generator = answer()
    contextvars.copy_context().run(next, generator)
    with llm_session("outer"), llm_operation(log, model="outer"):
        generator.close()
        log.info("x", extra={"llm": {"model": "plain"}})
    found = {row["model"]: row for row in rows()}
    assert (found["inner"]["session_key"], found["inner"]["status"]) == ("inner", "cancelled")
    assert found["inner"]["parent_operation_id"] is None
    assert (found["outer"]["session_key"], found["plain"]["session_key"]) == ("outer", "outer")
    assert found["plain"]["parent_operation_id"] == found["outer"]["operation_id"]


# -- many at once --------------------------------------------------------------------------------

WIDTH = 200


def check_trees(frame: pl.DataFrame) -> None:
    """Each of the sessions has its three levels twice, with the right session, agent, user and parent."""
    assert len(frame) == WIDTH * (1 + 2 + 4 + 4)
    by_id = {row["operation_id"]: row for row in frame.iter_rows(named=True)}
    assert len(by_id) == len(frame)
    for row in by_id.values():
        number, level, parent = json.loads(row["action_id"])
        assert row["session_key"] == f"session-{number}"
        assert row["user_id"] == f"user-{number}"
        assert row["agent_id"] == (f"agent-{number}" if level == 0 else f"agent-{number}-{level}")
        assert row["parent_operation_id"] == parent
        if parent is not None:
            above = json.loads(by_id[parent]["action_id"])
            assert above[:2] == [number, level - 1]


def mark(number: int, level: int, parent: str | None) -> str:
    return json.dumps([number, level, parent])


@ONE_OF_EACH
def test_200_tasks_three_levels_deep_and_interleaved(make_handler: MakeHandler, log: logging.Logger, url: str) -> None:
    handler = make_handler()
    chance = random.Random(7)

    async def pause() -> None:
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)

    async def call(number: int, level: int, parent: str | None) -> None:
        await pause()
        if level == 3:
            async with llm_session(agent_id=f"agent-{number}-3"):
                await pause()
                log.info("leaf", extra={"llm": {"action_id": mark(number, 3, parent)}})
            return
        changes = {} if level == 0 else {"agent_id": f"agent-{number}-{level}"}
        async with llm_session(**changes), llm_operation(log, action_id=mark(number, level, parent)) as op:  # type: ignore[arg-type]
            await pause()
            width = 2 if level < 2 else 1
            await asyncio.gather(*(call(number, level + 1, op.operation_id) for _ in range(width)))
            await pause()

    async def converse(number: int) -> None:
        async with llm_session(f"session-{number}", user_id=f"user-{number}", agent_id=f"agent-{number}"):
            await call(number, 0, None)

    async def main() -> None:
        await asyncio.gather(*(converse(number) for number in range(WIDTH)))

    asyncio.run(main())
    assert handler.flush(60)
    check_trees(polars_from_db(url))


def test_200_threads_and_executors_with_copied_contexts(
    make_handler: MakeHandler, log: logging.Logger, url: str
) -> None:
    handler = make_handler()
    pool = concurrent.futures.ThreadPoolExecutor(8)
    together = threading.Barrier(50)

    def call(number: int, level: int, parent: str | None) -> None:
        if level == 3:
            with llm_session(agent_id=f"agent-{number}-3"):
                log.info("leaf", extra={"llm": {"action_id": mark(number, 3, parent)}})
            return
        changes = {} if level == 0 else {"agent_id": f"agent-{number}-{level}"}
        with llm_session(**changes), llm_operation(log, action_id=mark(number, level, parent)) as op:  # type: ignore[arg-type]
            for turn in range(2 if level < 2 else 1):
                if level == 1 and turn == 0:  # a deeper level that an executor's thread runs
                    context = contextvars.copy_context()
                    pool.submit(context.run, call, number, level + 1, op.operation_id).result()
                else:
                    call(number, level + 1, op.operation_id)

    def converse(number: int) -> None:
        together.wait(30)
        with llm_session(f"session-{number}", user_id=f"user-{number}", agent_id=f"agent-{number}"):
            call(number, 0, None)

    threads = [threading.Thread(target=converse, args=(number,)) for number in range(WIDTH)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pool.shutdown()
    assert handler.flush(60)
    check_trees(polars_from_db(url))
