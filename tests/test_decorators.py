"""llm_session and llm_operation as decorators: on what returns an awaitable, a future, a stream, and on generators."""

import asyncio
import contextlib
import inspect
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from aicore_sqllog import llm_operation, llm_session, polars_from_db
from tests.conftest import MakeHandler
from tests.support.shapes import CHAT, CHAT_STREAM

Rows = Callable[[], list[dict[str, Any]]]
pytestmark = pytest.mark.backends("sqlite")


@pytest.fixture
def rows(make_handler: MakeHandler, url: str) -> Rows:
    handler = make_handler()

    def read() -> list[dict[str, Any]]:
        assert handler.flush()
        frame = polars_from_db(url, include_messages=True)
        return [{**row, "extras": json.loads(row["extras"])} for row in frame.iter_rows(named=True)]

    return read


def test_a_plain_function_that_returns_a_coroutine_ends_with_it(rows: Rows, log: logging.Logger) -> None:
    """As the asynchronous methods of SDKs are."""

    async def send(answer: Any) -> Any:
        await asyncio.sleep(0)
        log.info("x", extra={"llm": {"model": "inside"}})
        if isinstance(answer, Exception):
            raise answer
        return answer

    def create(answer: Any) -> Coroutine[Any, Any, Any]:
        return send(answer)

    async def main() -> None:
        ask = llm_session("s")(llm_operation(log, model="m")(create))
        assert await ask(CHAT) == CHAT
        waiting = ask(ValueError("no"))
        assert llm_operation.current() is None, "what is not awaited yet surrounds nobody"
        with pytest.raises(ValueError, match="no"):
            await waiting

    asyncio.run(main())
    inside, ok, _, failed = rows()
    assert (ok["status"], ok["input_tokens"], ok["session_key"]) == ("success", 9, "s")
    assert (inside["parent_operation_id"], inside["session_key"]) == (ok["operation_id"], "s")
    assert (failed["status"], failed["error_type"], failed["session_key"]) == ("error", "ValueError", "s")


def test_a_future_stays_one_and_ends_the_operation(rows: Rows, log: logging.Logger) -> None:
    with ThreadPoolExecutor(1) as pool:

        @llm_operation(log, model="m")
        def ask(answer: Any) -> Future[Any]:
            return pool.submit(lambda: answer)

        future = ask(CHAT)
        assert isinstance(future, Future)
        assert future.result(10) == CHAT
    (row,) = rows()
    assert (row["output_tokens"], row["status"]) == (1, "success")


def test_what_can_be_awaited_and_entered_stays_what_it_is(log: logging.Logger) -> None:
    class Request:
        def __await__(self) -> Generator[Any, None, str]:
            yield from asyncio.sleep(0).__await__()
            return "answer"

        async def __aenter__(self) -> str:
            return "answer"

        async def __aexit__(self, *exc: object) -> None: ...

    async def main() -> tuple[str, str]:
        async with llm_operation(log)(Request)() as entered:
            return entered, await llm_operation(log)(Request)()

    assert asyncio.run(main()) == ("answer", "answer")


def test_a_generator_is_an_operation_from_its_first_piece_to_its_last(rows: Rows, log: logging.Logger) -> None:
    @llm_session("s")
    @llm_operation(log, model="m")
    def produce(count: int) -> Generator[dict[str, Any], str, str]:
        with llm_session(user_id="u"):
            for chunk in CHAT_STREAM[:count]:
                yield chunk
                log.info("x", extra={"llm": {"model": "inside"}})
        return "done"

    produced = produce(2)
    assert next(produced) == CHAT_STREAM[0]
    assert llm_operation.current() is None, "between the pieces the caller is not inside"
    log.info("x", extra={"llm": {"model": "between"}})
    with pytest.raises(StopIteration, match="done"):
        next(produced), next(produced)
    left = produce(3)
    next(left)
    left.close()
    found = rows()
    between, inside, operation = found[0], found[1], found[3]
    assert (between["session_key"], between["user_id"]) == (None, None)
    assert (inside["session_key"], inside["user_id"]) == ("s", "u")
    assert inside["parent_operation_id"] == operation["operation_id"]
    assert (operation["status"], operation["session_key"]) == ("success", "s")
    assert (found[4]["status"], found[4]["extras"]["stream"]["chunks"]) == ("cancelled", 1)


def test_an_asynchronous_generator_is_one_too(rows: Rows, log: logging.Logger) -> None:
    cleaned: list[str] = []

    @llm_operation(log, model="m")
    async def produce() -> AsyncGenerator[Any, Any]:
        try:
            for chunk in CHAT_STREAM:
                await asyncio.sleep(0)
                sent = yield chunk
                assert sent in (None, "sent")
        finally:
            cleaned.append("up")

    async def main() -> None:
        assert [chunk async for chunk in produce()] == CHAT_STREAM
        left = produce()
        await anext(left)
        assert await left.asend("sent") == CHAT_STREAM[1]
        await left.aclose()
        failing = produce()
        await anext(failing)
        with pytest.raises(KeyError):
            await failing.athrow(KeyError("thrown"))

    asyncio.run(main())
    found = rows()
    assert [row["status"] for row in found] == ["success", "cancelled", "error"]
    assert found[0]["messages"][0]["content"] == "Hello"
    assert cleaned == ["up"] * 3


def test_a_generator_that_records_itself_is_not_recorded_twice(rows: Rows, log: logging.Logger) -> None:
    @llm_operation(log, model="m")
    def produce() -> Iterator[str]:
        op = llm_operation.current()
        assert op is not None
        for chunk in op.stream(iter(CHAT_STREAM)):
            yield str(chunk["id"]) if "id" in chunk else "-"

    list(produce())
    (row,) = rows()
    assert row["messages"][0]["content"] == "Hello"


def test_a_stream_that_a_function_returns_keeps_the_operation_open(rows: Rows, log: logging.Logger) -> None:
    @llm_operation(log, model="m")
    def ask() -> Iterator[Any]:
        return iter(CHAT_STREAM)

    @llm_operation(log, model="m")
    async def ask_later() -> AsyncIterator[Any]:
        async def chunks() -> AsyncIterator[Any]:
            for chunk in CHAT_STREAM:
                yield chunk

        return chunks()

    async def main() -> list[Any]:
        return [chunk async for chunk in await ask_later()]

    stream = ask()
    assert llm_operation.current() is None
    log.info("x", extra={"llm": {"model": "before its end"}})
    assert list(stream) == CHAT_STREAM
    assert asyncio.run(main()) == CHAT_STREAM
    before, *operations = rows()
    assert before["model"] == "before its end"
    assert [(row["input_tokens"], row["messages"][0]["content"]) for row in operations] == [(9, "Hello")] * 2


def test_a_file_that_a_function_returns_is_no_stream(log: logging.Logger) -> None:
    opened = llm_operation(log)(open)(__file__, encoding="utf-8")
    with opened as file:
        assert file.readline().startswith('"""')


def test_a_wish_for_no_texts_outlives_a_generator_that_is_closed_around_it(rows: Rows, log: logging.Logger) -> None:
    def produce() -> Generator[int, None, None]:
        with llm_session("inner"):
            yield 1

    generator = produce()
    next(generator)
    with llm_session("private", capture_content=False):
        generator.close()
        log.info("secret", extra={"llm": {"model": "m", "messages": "secret"}})
        with llm_operation(log, model="m", messages="secret") as op:
            op.set(capture_content=True)
            op.record("secret")
    with contextlib.suppress(ValueError), llm_operation(log, capture_content=False) as op:
        op.set(capture_content=True, messages="secret")
        raise ValueError("secret")
    assert "secret" not in str(rows())


def test_a_task_that_outlives_the_session_that_it_was_begun_in_stays_in_it(rows: Rows, log: logging.Logger) -> None:
    async def main() -> None:
        may_go_on = asyncio.Event()

        async def work() -> None:
            await may_go_on.wait()
            log.info("x", extra={"llm": {"model": "m"}})

        async with llm_session("s"):
            task = asyncio.create_task(work())
        may_go_on.set()
        await task

    asyncio.run(main())
    assert [row["session_key"] for row in rows()] == ["s"]


def test_a_decorated_function_is_what_it_was() -> None:
    operation = llm_operation("x")

    def plain() -> None: ...
    async def coroutine() -> None: ...
    def generator() -> Iterator[int]:
        yield 1

    async def async_generator() -> AsyncIterator[int]:
        yield 1

    functions: list[Callable[..., Awaitable[Any] | Any]] = [plain, coroutine, generator, async_generator]
    kinds = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    for function in functions:
        wrapped = operation(function)
        assert [is_kind(wrapped) for is_kind in kinds] == [is_kind(function) for is_kind in kinds]
        assert wrapped.__name__ == function.__name__
