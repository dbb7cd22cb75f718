"""Reading: filters choose the rows, the frame has one schema, and errors say what to do."""

import asyncio
import inspect
import json
import logging
import threading
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aicore_sqllog import (
    AsyncLogReader,
    DatabaseError,
    LlmOperation,
    LlmOperationCollector,
    LogNotFoundError,
    LogReader,
    SchemaError,
    SQLLogHandler,
    apolars_from_db,
    polars_from_db,
)
from aicore_sqllog.cli import main
from aicore_sqllog.querying.filters import Filters
from aicore_sqllog.querying.operations import OperationsArguments
from aicore_sqllog.record.columns import COLUMNS
from tests.conftest import MakeHandler
from tests.support.processes import wait_until
from tests.support.servers import ONE_OF_EACH, execute

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SCHEMA = {
    "operation_id": pl.String,
    "session_id": pl.String,
    "action_id": pl.String,
    "timestamp": pl.Datetime("us", "UTC"),
    "operation_type": pl.String,
    "provider": pl.String,
    "model": pl.String,
    "input_tokens": pl.Int64,
    "output_tokens": pl.Int64,
    "latency_ms": pl.Int64,
    "cost": pl.Float64,
    "status": pl.String,
    "error_message": pl.String,
    "extras": pl.String,
    "workspace": pl.String,
    "agent_id": pl.String,
    "user_id": pl.String,
    "parent_operation_id": pl.String,
    "response_model": pl.String,
    "finish_reason": pl.String,
    "error_type": pl.String,
    "cache_read_tokens": pl.Int64,
    "cache_write_tokens": pl.Int64,
    "reasoning_tokens": pl.Int64,
    "time_to_first_token_ms": pl.Int64,
    "session_key": pl.String,
    "session_metadata": pl.String,
}
CALLS: list[dict[str, Any]] = [
    {"action_id": "0", "timestamp": NOON, "session_id": "a", "model": "gpt-4", "input_tokens": 60, "output_tokens": 40},
    {"action_id": "1", "timestamp": NOON + timedelta(hours=13), "session_id": "b", "model": "GPT-4", "cost": 0.5},
    {"action_id": "2", "timestamp": NOON + timedelta(days=1), "session_id": "a", "model": "gpt-4 ", "input_tokens": 99},
    {"action_id": "3", "timestamp": NOON + timedelta(days=2), "model": None, "latency_ms": 7, "operation_id": "op"},
]


@pytest.fixture
def stored(make_handler: MakeHandler, log: logging.Logger, url: str) -> str:
    handler = make_handler(prices="off")
    for call in CALLS:
        log.info("call", extra={"llm": {"response": "r", **call}})
    assert handler.flush()
    handler.close()
    return url


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, "0123"),
        ({"start_date": NOON}, "0123"),
        ({"start_date": NOON + timedelta(microseconds=1)}, "123"),
        ({"start_date": datetime(2026, 3, 1, 14, tzinfo=timezone(timedelta(hours=2)))}, "0123"),
        ({"start_date": "2026-03-02"}, "123"),
        ({"end_date": "2026-03-01"}, "0"),
        ({"end_date": date(2026, 3, 2)}, "012"),
        ({"end_date": NOON}, ""),
        ({"end_date": "2026-03-02T12:00:00"}, "01"),
        ({"end_date": date.max}, "0123"),
        ({"session_id": "a"}, "02"),
        ({"session_id": ["b", "a"]}, "012"),
        ({"model": "gpt-4"}, "0"),
        ({"model": ["gpt-4 ", None]}, "23"),
        ({"model": []}, ""),
        ({"model": None}, "0123"),
        ({"min_tokens": 100}, "0"),
        ({"min_tokens": 0}, "02"),
        ({"max_tokens": 99}, "2"),
        ({"min_tokens": 10**30}, ""),
        ({"max_latency": 7.5}, "3"),
        ({"min_cost": 0.5}, "1"),
        ({"min_cost": Decimal("0.5")}, "1"),
        ({"min_cost": Fraction(1, 2), "max_cost": 10**400}, "1"),
        ({"min_cost": 10**400}, ""),
        ({"max_cost": Decimal("-1e400")}, ""),
        ({"max_tokens": Decimal("1e400"), "min_tokens": Decimal("99.5")}, "0"),
        ({"max_latency": float("inf"), "min_latency": -(10**400)}, "3"),
        ({"operation_id": "op"}, "3"),
        ({"session_id": "a", "min_input_tokens": 99}, "2"),
        ({"where": LlmOperation.action_id.in_(["1", "3"])}, "13"),
        ({"where": [LlmOperation.action_id != "1", LlmOperation.cost.is_(None)]}, "023"),
    ],
)
def test_filters_choose_the_rows(filters: dict[str, Any], expected: str, stored: str) -> None:
    frame = polars_from_db(stored, **filters)

    assert "".join(frame["action_id"]) == expected
    assert dict(frame.schema) == SCHEMA
    assert asyncio.run(apolars_from_db(stored, **filters)).equals(frame)
    with LogReader(stored) as reader:
        assert reader.count(**filters) == len(expected)


def test_a_session_or_operation_is_found_by_its_uuid(stored: str) -> None:
    row = polars_from_db(stored, session_id="b").to_dicts()[0]
    for value in (row["session_id"], UUID(row["session_id"]), row["session_id"].upper()):
        assert polars_from_db(stored, session_id=value)["action_id"].to_list() == ["1"]
    assert polars_from_db(stored, operation_id=[UUID(row["operation_id"])])["action_id"].to_list() == ["1"]
    assert polars_from_db(stored, session_id=[row["session_id"], "a"])["action_id"].to_list() == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"modell": "x"}, TypeError, ["modell", "'model'"]),
        ({"min_token": 1}, TypeError, ["min_token", "'min_tokens'"]),
        ({"colums": ["model"]}, TypeError, ["colums", "'columns'"]),
        ({"extra": {"a": 1}}, TypeError, ["'extras'"]),
        ({"min_tokens": "x"}, ValueError, ["min_tokens='x'"]),
        ({"min_cost": True}, ValueError, ["min_cost=True"]),
        ({"max_cost": float("nan")}, ValueError, ["max_cost=nan"]),
        ({"max_cost": Decimal("nan")}, ValueError, ["max_cost=Decimal('NaN')"]),
        ({"max_cost": Decimal("snan")}, ValueError, ["max_cost=Decimal('sNaN')"]),
        ({"max_cost": 1j}, ValueError, ["max_cost=1j"]),
        ({"min_cost": [1]}, ValueError, ["min_cost=[1]"]),
        ({"start_date": "2026-02-30"}, ValueError, ["start_date='2026-02-30'", "ISO"]),
        ({"end_date": 5}, ValueError, ["end_date=5"]),
        ({"model": 5}, ValueError, ["model=5"]),
        ({"model": b"m"}, ValueError, ["model=b'm'"]),
        ({"session_id": [1]}, ValueError, ["session_id=1"]),
        ({"where": "cost > 1"}, ValueError, ["where", "str"]),
        ({"columns": ["modle"]}, ValueError, ["modle", "'model'"]),
        ({"columns": "model"}, ValueError, ["columns='model'"]),
        ({"order_by": "extras"}, ValueError, ["order_by='extras'"]),
        ({"limit": -1}, ValueError, ["limit=-1"]),
    ],
)
def test_a_wrong_argument_is_named(
    arguments: dict[str, Any], error: type[Exception], words: list[str], url: str
) -> None:
    with pytest.raises(error) as caught:
        polars_from_db(url, **arguments)
    assert all(word in str(caught.value) for word in words)


def test_order_limit_and_columns(stored: str) -> None:
    assert polars_from_db(stored, descending=True, limit=2)["action_id"].to_list() == ["3", "2"]
    assert polars_from_db(stored, order_by="cost")["action_id"].to_list() == ["1", "0", "2", "3"]
    assert polars_from_db(stored, order_by="cost", descending=True)["action_id"].to_list() == ["3", "2", "0", "1"]
    assert polars_from_db(stored, columns=["cost", "model"]).columns == ["cost", "model"]
    assert polars_from_db(stored, columns=[]).shape == (0, 0)
    assert polars_from_db(stored, columns=[], include_messages=True).columns == ["messages"]
    assert polars_from_db(stored, limit=0).schema == polars_from_db(stored).schema


def test_messages_and_decoded_json(make_handler: MakeHandler, log: logging.Logger, url: str) -> None:
    handler = make_handler()
    log.info("x", extra={"llm": {"model": "m", "messages": ["q", {"role": "tool", "content": None}], "response": "a"}})
    log.info("x", extra={"llm": {"extras": {"k": [1]}}})
    assert handler.flush()
    frame = polars_from_db(url, include_messages=True, columns=["model", "extras"], decode_json=True)
    assert frame.columns == ["model", "extras", "messages"]
    messages = frame["messages"].to_list()
    assert json.loads(messages[0][1].pop("parts")) == {"content": None}
    assert messages == [
        [
            {"role": "user", "content": "q", "parts": None, "sequence_number": 0},
            {"role": "tool", "content": None, "sequence_number": 1},
            {"role": "assistant", "content": "a", "parts": None, "sequence_number": 2},
        ],
        [],
    ]
    assert frame["extras"].to_list()[1]["k"] == [1]
    empty = polars_from_db(url, include_messages=True, columns=["model", "extras"], decode_json=True, model=[])
    assert empty.schema == frame.schema


def test_more_operations_than_one_lookup_of_messages(make_handler: MakeHandler, log: logging.Logger, url: str) -> None:
    handler = make_handler()
    for number in range(1234):
        log.info("x", extra={"llm": {"response": str(number)}})
    assert handler.flush()
    frame = polars_from_db(url, include_messages=True, columns=["timestamp"])
    assert [messages[0]["content"] for messages in frame["messages"].to_list()] == [str(n) for n in range(1234)]


@pytest.mark.parametrize("make", ["missing file", "empty file", "other tables"])
def test_a_log_that_is_not_there_is_an_error_with_its_path_and_nothing_is_made(make: str, path: Path, url: str) -> None:
    if make == "empty file":
        path.touch()
    elif make == "other tables":
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.exec_driver_sql("create table other (a)")
        engine.dispose()
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(LogNotFoundError, match="SQLLogHandler") as caught:
        polars_from_db(url)
    assert str(path) in str(caught.value)
    with pytest.raises(LogNotFoundError, match="SQLLogHandler") as caught:
        asyncio.run(apolars_from_db(url))
    assert str(path) in str(caught.value)
    assert (path.read_bytes() if path.exists() else None) == before
    assert len(list(path.parent.iterdir())) == (0 if before is None else 1)


@ONE_OF_EACH
def test_tables_of_an_earlier_version_are_told_with_the_way_to_upgrade_them(url: str) -> None:
    assert main(["upgrade", "0001", "--connection", url]) == 0
    with pytest.raises(SchemaError, match=r"older than this version.*aicore-sqllog upgrade"):
        polars_from_db(url)
    with pytest.raises(SchemaError, match=r"older than this version.*aicore-sqllog upgrade"):
        asyncio.run(apolars_from_db(url))


@ONE_OF_EACH
def test_a_large_cost_compares_with_whole_numbers_of_any_size(make_handler: MakeHandler, url: str) -> None:
    handler = make_handler()
    handler.handle(logging.makeLogRecord({"llm": {"model": "m", "cost": 5e18}}))
    assert handler.flush()
    with LogReader(url) as reader:
        bounds: list[Filters] = [
            {"min_cost": 10**20},
            {"max_cost": 10**19},
            {"min_cost": 5 * 10**18},
            {"max_cost": -(10**20)},
        ]
        assert [reader.count(**bound) for bound in bounds] == [0, 1, 1, 0]


@ONE_OF_EACH
def test_a_database_error_is_raised_without_parameters(stored: str) -> None:
    import traceback

    engine = sa.create_engine(stored)  # which shows parameters
    with pytest.raises(DatabaseError, match="no_such") as caught, LogReader(engine) as reader:
        reader.operations(model="s" * 9, where=sa.func.no_such(LlmOperation.model) == "p" * 9)
    shown = "".join(traceback.format_exception(caught.value))
    assert "s" * 9 not in shown
    assert "p" * 9 not in shown
    engine.dispose()


def test_the_twins_have_one_signature_with_every_argument_by_name() -> None:
    def parameters(function: Any) -> list[tuple[str, Any]]:
        return [(p.name, p.default) for p in inspect.signature(function).parameters.values() if p.name != "self"]

    twins = [name for name, value in vars(LogReader).items() if inspect.isfunction(value) and name[0] != "_"]
    twins.remove("scan_operations")  # Polars knows no asynchronous source
    assert twins == [
        name for name, value in vars(AsyncLogReader).items() if inspect.isfunction(value) and name[0] != "_"
    ]
    for name in twins:
        assert parameters(getattr(LogReader, name)) == parameters(getattr(AsyncLogReader, name))
    assert parameters(polars_from_db) == parameters(apolars_from_db)
    assert parameters(polars_from_db)[2:] == parameters(LogReader.operations)
    assert [name for name, _ in parameters(LogReader.count)] == list(Filters.__annotations__)
    assert {name for name, _ in parameters(LogReader.operations)} == set(OperationsArguments.__annotations__)
    assert dict(parameters(LogReader.operations))["order_by"] == "timestamp"


def test_every_filter_of_a_column_is_one_of_the_readers() -> None:
    of_columns = {name for column in COLUMNS for name in column.filters}
    assert of_columns <= set(Filters.__annotations__)
    with LogReader("sqlite:///x.db") as reader:
        for name in Filters.__annotations__:
            with pytest.raises(LogNotFoundError):  # so the filter was taken
                reader.count(**{name: None})


def test_an_asynchronous_reader_leaves_nothing_behind_its_loop(stored: str) -> None:
    async def read() -> int:
        async with AsyncLogReader(stored) as reader:
            return await reader.count() + len(await apolars_from_db(stored))

    before = set(threading.enumerate())
    assert [asyncio.run(read()) for _ in range(3)] == [8, 8, 8]
    wait_until(lambda: set(threading.enumerate()) <= before)  # a driver's thread may be about to end


def test_readers_see_a_file_that_replaced_another(stored: str, path: Path, log: logging.Logger) -> None:
    assert len(polars_from_db(stored)) == 4
    for file in path.parent.glob("llm.db*"):
        file.unlink()
    handler = SQLLogHandler(stored)
    log.addHandler(handler)
    log.info("x", extra={"llm": {}})
    assert handler.flush()
    assert len(polars_from_db(stored)) == 1


def test_the_variables_name_the_log(stored: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECTION_STRING", stored)
    monkeypatch.setenv("ASYNC_CONNECTION_STRING", stored.replace("sqlite:", "sqlite+aiosqlite:"))
    assert len(LlmOperationCollector.polars_from_db(start_date="2023-01-01", min_tokens=100)) == 1
    assert len(asyncio.run(LlmOperationCollector.apolars_from_db(end_date="2026-12-31"))) == 4


def test_the_collector_records_and_reads(url: str, path: Path) -> None:
    first = LlmOperationCollector.record_completion(url, provider="p", model="m", response="r", input_tokens=3)
    second = asyncio.run(LlmOperationCollector.arecord_completion(url, error_message="boom", operation_id="mine"))
    assert LlmOperationCollector.flush(url, 30)
    assert polars_from_db(url, operation_id=[first, second])["status"].to_list() == ["success", "error"]
    with pytest.raises(TypeError, match="'provider'"):
        LlmOperationCollector.record_completion(url, providr="p")


NAMES = st.sampled_from(["", "a", "A", "a ", "ä", "x" * 300, "\0", None])
COUNTS = st.one_of(st.none(), st.integers(0, 5))
TIMES = st.integers(0, 5).map(lambda n: NOON + timedelta(hours=8 * n))
ROW = st.fixed_dictionaries(
    {
        "provider": NAMES,
        "model": NAMES,
        "user_id": NAMES,
        "session_id": st.sampled_from(["s", "t", "u" * 300, None]),
        "timestamp": TIMES,
        "input_tokens": COUNTS,
        "output_tokens": COUNTS,
        "latency_ms": COUNTS,
        "cost": st.one_of(st.none(), st.sampled_from([0.0, 0.5, 1.5])),
    }
)
ONE_OF = st.one_of(NAMES, st.lists(NAMES, max_size=3))
NUMBER = st.one_of(st.none(), st.integers(-1, 11), st.floats(-1, 6))
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "provider": ONE_OF,
        "model": ONE_OF,
        "user_id": ONE_OF,
        "session_id": st.one_of(st.none(), st.lists(st.sampled_from(["s", "t", "u" * 300, "v"]), max_size=2)),
        "start_date": st.one_of(st.none(), TIMES, TIMES.map(lambda when: when.date().isoformat())),
        "end_date": st.one_of(st.none(), TIMES, TIMES.map(lambda when: when.date())),
        **{
            f"{side}_{name}": NUMBER
            for side in ("min", "max")
            for name in ("tokens", "input_tokens", "output_tokens", "latency", "cost")
        },
    },
)


def polars_filter(frame: pl.DataFrame, filters: dict[str, Any]) -> pl.DataFrame:
    """The same filters, made in Polars: the oracle."""
    from aicore_sqllog.values.text import fit_name

    columns = {"latency": "latency_ms", "session_id": "session_key"}
    total = pl.col("input_tokens").fill_null(0) + pl.col("output_tokens").fill_null(0)
    known = pl.col("input_tokens").is_not_null() | pl.col("output_tokens").is_not_null()
    for name, value in filters.items():
        if value is None:
            continue
        side, _, rest = name.partition("_")
        if name == "start_date":
            start = datetime.fromisoformat(value).replace(tzinfo=UTC) if isinstance(value, str) else value
            condition = pl.col("timestamp") >= start
        elif name == "end_date":
            condition = (
                pl.col("timestamp") < value if isinstance(value, datetime) else pl.col("timestamp").dt.date() <= value
            )
        elif side in ("min", "max"):
            column = total if rest == "tokens" else pl.col(columns.get(rest, rest))
            condition = (column >= value) if side == "min" else (column <= value)
            condition = condition & known if rest == "tokens" else condition
        else:
            values = [value] if isinstance(value, str) else value
            names = [fit_name(item) for item in values if item is not None]
            column = pl.col(columns.get(name, name))
            condition = column.is_in(names)
            condition = condition.fill_null(False) | (column.is_null() if None in values else pl.lit(False))
        frame = frame.filter(condition)
    return frame


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROW, max_size=12), questions=st.lists(FILTERS, min_size=8, max_size=8))
def test_filters_equal_the_same_filters_in_polars(
    rows: list[dict[str, Any]], questions: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    url = f"sqlite:///{tmp_path_factory.mktemp('property')}/llm.db"
    handler = SQLLogHandler(url, flush_interval=3600, shutdown_timeout=30)
    for row in [*rows, {"timestamp": NOON}]:
        handler.handle(logging.makeLogRecord({"llm": row}))
    assert handler.flush()
    handler.close()
    with LogReader(url) as reader:
        whole = reader.operations()
        assert len(whole) == len(rows) + 1
        for filters in questions:
            frame = reader.operations(**filters)
            assert frame.equals(polars_filter(whole, filters))
            assert frame.schema == whole.schema
            assert reader.count(**filters) == len(frame)
            assert asyncio.run(apolars_from_db(url, **filters)).equals(frame)
    assert execute(url, "select count(*) from llm_operations") == [(len(rows) + 1,)]
