"""What else a reader is asked: values, sessions, losses; and that nothing a caller gives becomes SQL."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import polars as pl
import pytest

from aicore_sqllog import AsyncLogReader, LogReader
from aicore_sqllog.querying.groups import GROUPABLE
from aicore_sqllog.querying.measures import MEASURES
from tests.conftest import MakeHandler
from tests.support.servers import ONE_OF_EACH

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def log_calls(log: logging.Logger) -> None:
    for number, model in enumerate(["b", "a", "B", "a ", None, "é"]):
        fields = {
            "provider": "openai",
            "model": model,
            "session_id": f"s{number % 3}",
            "timestamp": NOON.replace(minute=number),
            "cost": None if number == 5 else float(number),
            "input_tokens": number,
            "session_metadata": {"number": number % 3},
            "extras": {"tags": {"k": number % 2 == 0}},
        }
        log.info("", extra={"llm": fields})


def test_values_are_in_order_and_none_comes_last(make_handler: MakeHandler, log: logging.Logger, url: str) -> None:
    handler = make_handler()
    log_calls(log)
    assert handler.flush()
    with LogReader(url) as reader:
        assert reader.values("model") == ["B", "a", "a ", "b", "é", None]
        assert reader.values("model", session_id="s0") == ["a ", "b"]
        assert reader.values("user_id") == [None]
        assert reader.values(("extras", "tags", "k")) == ["false", "true"]
        assert len(reader.values("session_id")) == 3


def test_sessions_have_what_their_operations_add_up_to(
    make_handler: MakeHandler, log: logging.Logger, url: str
) -> None:
    handler = make_handler(workspace="w")
    log_calls(log)
    assert handler.flush()
    with LogReader(url) as reader:
        frame = reader.sessions()
        assert frame["session_key"].to_list() == ["s0", "s1", "s2"]
        assert frame["session_metadata"].str.json_path_match("$.number").to_list() == ["0", "1", "2"]
        assert frame["workspace"].to_list() == ["w"] * 3
        assert frame["calls"].to_list() == [2, 2, 2]
        assert frame["cost"].to_list() == [3.0, 5.0, 2.0]
        assert frame["total_tokens"].to_list() == [3, 5, 7]
        assert frame["last_timestamp"].to_list() == [NOON.replace(minute=minute) for minute in (3, 4, 5)]
        dearest = reader.sessions(order_by="cost", descending=True, limit=1)
        assert dearest["session_key"].to_list() == ["s1"]
        assert reader.sessions(model="nobody's").schema == frame.schema
        assert asyncio.run(sessions_of(url)).equals(frame)


async def sessions_of(url: str) -> pl.DataFrame:
    async with AsyncLogReader(url) as reader:
        return await reader.sessions()


def test_losses_that_reach_into_a_period(make_handler: MakeHandler, log: logging.Logger, url: str) -> None:
    handler = make_handler(queue_size=2, overflow="drop_newest", batch_size=1_000, on_notice="off")
    for _ in range(50):
        log.info("", extra={"llm": {"input_tokens": 1}})
    assert not handler.flush() or handler.stats().dropped
    assert handler.flush()
    with LogReader(url) as reader:
        frame = reader.losses()
        assert frame["count"].sum() == handler.stats().dropped > 0
        assert frame["reason"].unique().to_list() == ["queue_full"]
        assert frame.schema["first_at"] == pl.Datetime("us", "UTC")
        assert reader.losses(end_date="2020-01-01").is_empty()
        assert reader.losses(start_date="2020-01-01", end_date="2999-01-01").equals(frame)
        assert reader.losses("2999-01-01").schema == frame.schema


@ONE_OF_EACH
def test_measures_may_be_chosen(make_handler: MakeHandler, log: logging.Logger, url: str) -> None:
    handler = make_handler()
    log_calls(log)
    assert handler.flush()
    with LogReader(url) as reader:
        chosen = ["latency_ms_p95", "calls"]
        assert reader.summary(measures=chosen).rows() == [(None, 6)]
        assert reader.summary("provider", measures="cost").rows() == [("openai", 10.0)]
        assert reader.timeseries("1h", measures=["calls"]).rows() == [(NOON, 6)]
        whole = reader.summary("model")
        assert whole.columns == ["model", *MEASURES]
        nobody = reader.summary("model", model="nobody's")
        assert nobody.is_empty()
        assert nobody.schema == whole.schema
        assert reader.summary(model="nobody's")["calls"].to_list() == [0]
        empty = reader.timeseries("1d", "model", model="nobody's")
        assert empty.is_empty()
        assert empty.schema == reader.timeseries("1d", "model").schema


@ONE_OF_EACH
def test_empty_buckets_are_filled_for_every_group(make_handler: MakeHandler, log: logging.Logger, url: str) -> None:
    handler = make_handler()
    for day, model in [(1, "a"), (4, "b")]:
        log.info("", extra={"llm": {"model": model, "cost": 1.0, "timestamp": NOON.replace(day=day)}})
    assert handler.flush()
    with LogReader(url) as reader:
        frame = reader.timeseries("1d", "model", start_date="2026-10-31", end_date="2026-11-05")
        assert frame.height == 6 * 2
        assert frame.filter(pl.col("calls") > 0).select("model", "calls", "cost").rows() == [
            ("a", 1, 1.0),
            ("b", 1, 1.0),
        ]
        assert frame.filter(pl.col("calls") == 0).select("cost", "error_rate").unique().rows() == [(None, None)]


@pytest.mark.backends("sqlite")
def test_a_date_means_the_day_of_the_zone(make_handler: MakeHandler, log: logging.Logger, url: str) -> None:
    handler = make_handler()
    log.info("", extra={"llm": {"model": "m", "timestamp": datetime(2026, 3, 28, 23, 30, tzinfo=UTC)}})
    assert handler.flush()
    with LogReader(url) as reader:
        berlin = reader.timeseries("1h", tz="Europe/Berlin", start_date="2026-03-29", end_date="2026-03-29")
        assert (berlin.height, berlin["calls"].to_list()[0]) == (23, 1)  # the clocks go forward on that day
        assert reader.timeseries("1h", start_date="2026-03-29", end_date="2026-03-29")["calls"].sum() == 0


@pytest.mark.backends("sqlite")
@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda r: r.summary("modell"), "Did you mean 'model'"),
        (lambda r: r.summary(["model", "model"]), "two columns"),
        (lambda r: r.summary("operation_id"), "Allowed: session_id"),
        (lambda r: r.summary(("extras",)), "no such groups"),
        (lambda r: r.summary(measures=["costs"]), "Did you mean 'cost'"),
        (lambda r: r.timeseries("1day"), "Did you mean '1d'"),
        (lambda r: r.timeseries(tz="Europe/Berln"), "Did you mean 'Europe/Berlin'"),
        (lambda r: r.timeseries(tz=None), "no time zone"),
        (lambda r: r.timeseries("1m", start_date="2020-01-01", end_date="2026-01-01"), "100,000 buckets"),
        (lambda r: r.values("modell"), "Did you mean 'model'"),
        (lambda r: r.sessions(order_by="costs"), "Did you mean 'cost'"),
        (lambda r: r.sessions(limit=-1), "limit=-1"),
        (lambda r: r.losses("yesterday"), "start_date='yesterday'"),
    ],
)
def test_what_cannot_be_right_names_the_nearest(url: str, ask: Any, said: str) -> None:
    with LogReader(url) as reader, pytest.raises(ValueError, match=said):
        ask(reader)


HOSTILE = [
    "'; DROP TABLE llm_operations; --",
    '"; DROP TABLE llm_operations; --',
    "' OR '1'='1",
    "\\' OR 1=1 --",
    "%s",
    "%(x)s",
    ":x",
    "?",
    "$1",
    "{x}",
    "`",
    "\x00",
    "\ud800",
    "\u202e",
    "a\nb",
    "../../etc/passwd",
    "/etc/passwd",
    "",
    " ",
    "*",
    "_%",
    "NULL",
    "1; SELECT pg_sleep(10)",
    "é" * 300,
    "x" * 5_000,
    "'||(SELECT password FROM users)||'",
    "$[0]",
    "$.a",
    '"',
    "\\",
]
HOSTILE += [f"{one}{two}" for one in HOSTILE[:12] for two in HOSTILE[:15]]


@ONE_OF_EACH
def test_no_text_becomes_sql(make_handler: MakeHandler, log: logging.Logger, url: str) -> None:
    check_texts(make_handler, log, url, HOSTILE if url.startswith("sqlite") else HOSTILE[:30])


@ONE_OF_EACH
@pytest.mark.long
def test_none_of_200_texts_becomes_sql(make_handler: MakeHandler, log: logging.Logger, url: str) -> None:
    check_texts(make_handler, log, url, HOSTILE)


def check_texts(make_handler: MakeHandler, log: logging.Logger, url: str, texts: list[str]) -> None:
    assert len(HOSTILE) > 200
    handler = make_handler()
    log.info("", extra={"llm": {"model": "m", "extras": {"k": "v"}, "messages": "hello"}})
    assert handler.flush()
    with LogReader(url) as reader:
        assert reader.count(model=texts) == reader.count(session_id=texts) == reader.count(role=texts) == 0
        assert reader.count(operation_id=texts) == 0
        assert reader.count(extras={"k": texts}, session_metadata={"k": texts}) == 0
        for text in texts:
            assert reader.count(extras={text: "v", ("k", text): True}) == 0, text
            assert reader.count(content_contains=text) == (text == "")
            assert reader.values(("extras", text)) == [None]
        assert reader.count() == 1


@pytest.mark.backends("sqlite")
def test_no_text_is_taken_for_a_name(url: str) -> None:
    with LogReader(url) as reader:
        for text in HOSTILE[:60]:
            asks: list[Callable[[], object]] = [
                partial(reader.summary, text),
                partial(reader.summary, measures=[text]),
                partial(reader.timeseries, text),
                partial(reader.timeseries, tz=text),
                partial(reader.operations, columns=[text]),
                partial(reader.operations, order_by=text),
                partial(reader.count, start_date=text),
            ]
            for ask in asks:
                with pytest.raises(ValueError, match=r"cannot be right|there is no|no such|no time zone"):
                    ask()


def test_the_groups_are_those_of_the_contract() -> None:
    assert set(GROUPABLE) == {
        *("provider", "model", "response_model", "operation_type", "workspace", "agent_id", "user_id"),
        *("action_id", "session_id", "status", "error_type", "finish_reason"),
    }
