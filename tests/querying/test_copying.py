"""Every way to a frame gives the same frame, to the last value and type."""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import polars as pl
import pytest
import sqlalchemy as sa

from aicore_sqllog import AsyncLogReader, LlmOperation, LogReader
from aicore_sqllog.querying import execute
from tests.conftest import MakeHandler
from tests.support.servers import ONE_OF_EACH

POSTGRESQL = pytest.mark.backends("postgresql+psycopg2", "postgresql+psycopg", "postgresql+asyncpg")

TEXTS = [
    "",
    " ",
    "NULL",
    "\\N",
    "a,b",
    'a"b',
    '"',
    '""',
    "a\nb",
    "a\r\nb",
    "\r",
    "é🦆",
    "%s %% %(x)s",
    "\\",
    "\\.",
    "x" * 300_000,
]
DOCUMENTS: list[Any] = [{}, {"a": None}, {"b": True, "c": [1, 2.5, "x", {}]}, {"n": 1e300, "i": 2**53}, {'"': "\n,"}]


def fill(log: logging.Logger) -> int:
    calls = 0
    for number in range(max(len(TEXTS), 20)):
        text = TEXTS[number % len(TEXTS)]
        fields = {
            "model": text[:200],
            "error_message": text if number > 3 else None,
            "status": "success",
            "cost": None if number < 10 else number / 7,
            "input_tokens": None if number % 3 else number,
            "extras": DOCUMENTS[number % len(DOCUMENTS)],
            "timestamp": datetime(1969 + number, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
            "messages": [{"role": "user", "content": text}, {"role": "assistant", "content": None, "n": number}],
        }
        log.info("", extra={"llm": fields})
        calls += 1
    return calls


QUESTIONS: dict[str, dict[str, Any]] = {
    "everything": {},
    "with messages": {"include_messages": True},
    "one column": {"columns": ["error_message"]},
    "a column of nulls": {"columns": ["user_id", "agent_id"]},
    "nobody": {"model": "nobody's"},
    "one of": {"model": ["a,b", 'a"b', "", None], "descending": True},
    "text": {"content_contains": "%s %%"},
    "time": {"start_date": "1975-01-01", "max_cost": 2.5, "limit": 3},
    "members": {"extras": {"b": True, ("c", 0): 1}},
    "an expression": {"where": LlmOperation.cost * 2 > 5, "columns": ["model", "cost"]},
    "decoded": {"decode_json": True, "columns": ["model", "extras"]},
}


@POSTGRESQL
def test_a_copied_frame_is_the_fetched_one(
    make_handler: MakeHandler, log: logging.Logger, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = make_handler()
    calls = fill(log)
    assert handler.flush(60)

    async def ask(arguments: dict[str, Any]) -> pl.DataFrame:
        async with AsyncLogReader(url) as reader:
            return await reader.operations(**arguments)

    copied: list[bool] = []
    real = execute._copied

    def counted(connection: sa.Connection, asked: execute.FrameOf) -> bytes | None:
        csv = real(connection, asked)
        copied.append(csv is not None)
        return csv

    monkeypatch.setattr(execute, "_copied", counted)
    with LogReader(url) as reader:
        fast = {name: reader.operations(**arguments) for name, arguments in QUESTIONS.items()}
        awaited = {name: asyncio.run(ask(arguments)) for name, arguments in QUESTIONS.items()}
        conversation = reader.messages()
        assert copied.count(False) == 2  # of one column, a line that is empty would say nothing
        monkeypatch.setattr(execute, "_copied", lambda connection, asked: None)
        for name, arguments in QUESTIONS.items():
            ordinary = reader.operations(**arguments)
            for frame in (fast[name], awaited[name]):
                assert frame.schema == ordinary.schema, name
                assert frame.rows() == ordinary.rows(), name
        assert reader.messages().equals(conversation)
        assert fast["everything"].height == calls


@pytest.mark.backends("postgresql+psycopg2", "postgresql+psycopg")
def test_where_copy_is_refused_rows_are_fetched(
    make_handler: MakeHandler, log: logging.Logger, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = make_handler()
    fill(log)
    assert handler.flush(60)
    with LogReader(url) as reader:
        expected = reader.operations()
        monkeypatch.setattr("aicore_sqllog.storage.dialects.copying._as_copy", lambda statement: "COPY refused")
        assert reader.operations().equals(expected)
        assert reader.operations().equals(expected)  # nothing of the refusal is left on the connection
    engine = sa.create_engine(url)
    with LogReader(engine) as lent:
        assert lent.operations().equals(expected)
    engine.dispose()


@pytest.mark.backends("postgresql+psycopg2", "postgresql+psycopg")
def test_a_schema_and_an_engine_of_the_lenders_are_read_too(
    make_handler: MakeHandler, log: logging.Logger, url: str
) -> None:
    handler = make_handler()
    fill(log)
    assert handler.flush(60)
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with LogReader(engine) as reader, LogReader(url) as own:
        assert reader.operations().equals(own.operations())
        translated = engine.execution_options(schema_translate_map={None: "public"})
        assert LogReader(translated).operations().equals(own.operations())
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
    engine.dispose()


@pytest.mark.backends("sqlite", "postgresql+psycopg", "mysql+pymysql", "mysql+asyncmy")
def test_a_frame_of_chunks_is_the_frame_of_all_rows(
    make_handler: MakeHandler, log: logging.Logger, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = make_handler()
    fill(log)
    assert handler.flush(60)

    async def ask(arguments: dict[str, Any]) -> pl.DataFrame:
        async with AsyncLogReader(url) as reader:
            return await reader.operations(**arguments)

    monkeypatch.setattr(execute, "_copied", lambda connection, asked: None)
    with LogReader(url) as reader:
        for name, arguments in {**QUESTIONS, "moments alone": {"columns": ["timestamp"]}}.items():
            whole = reader.operations(**arguments)
            with monkeypatch.context() as patch:
                patch.setattr(execute, "_CHUNK_ROWS", 3)
                for frame in (reader.operations(**arguments), asyncio.run(ask(arguments))):
                    assert frame.schema == whole.schema, name
                    assert frame.rows() == whole.rows(), name


@ONE_OF_EACH
def test_calls_of_one_moment_come_in_the_order_of_their_ids(
    make_handler: MakeHandler, log: logging.Logger, url: str
) -> None:
    handler = make_handler()
    ids = [str(uuid4()) for _ in range(30)]
    for number, operation_id in enumerate(ids):
        when = datetime(2026, 1, 1 + number % 3, tzinfo=UTC)
        log.info("", extra={"llm": {"operation_id": operation_id, "timestamp": when}})
    assert handler.flush(60)
    expected = [one for day in range(3) for one in sorted(ids[day::3])]
    with LogReader(url) as reader:
        for arguments in ({}, {"limit": 30}, {"include_messages": True, "decode_json": True}):
            assert reader.operations(**arguments)["operation_id"].to_list() == expected
            backwards = reader.operations(descending=True, **arguments)
            assert backwards["operation_id"].to_list() == expected[::-1]
