"""Operations in parts: page by page while others write, and as a LazyFrame that asks the database for what it can."""

import asyncio
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from aicore_sqllog import AsyncLogReader, LogReader, SQLLogHandler
from aicore_sqllog.querying import pages
from tests.conftest import MakeHandler
from tests.support.servers import ONE_OF_EACH

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def call(number: int) -> dict[str, Any]:
    return {
        "provider": "openai",
        "model": f"m{number % 3}",
        "input_tokens": None if number % 7 == 0 else number,
        "cost": number / 8,
        "timestamp": NOON + timedelta(seconds=number // 5),  # several at one time
        "messages": [{"role": "user", "content": str(number)}] * (number % 3),
    }


@pytest.fixture
def stored(make_handler: MakeHandler, log: logging.Logger, url: str) -> SQLLogHandler:
    handler = make_handler()
    for number in range(100):
        log.info("", extra={"llm": call(number)})
    assert handler.flush()
    return handler


def test_pages_joined_are_the_whole_frame(stored: SQLLogHandler, url: str) -> None:
    async def ask(batch_rows: int) -> list[pl.DataFrame]:
        async with AsyncLogReader(url) as reader:
            return [frame async for frame in reader.iter_operations(batch_rows, include_messages=True)]

    with LogReader(url) as reader:
        whole = reader.operations(include_messages=True)
        for batch_rows in (1, 7, 50, 100, 1_000):
            frames = list(reader.iter_operations(batch_rows, include_messages=True))
            assert {frame.height for frame in frames[:-1]} <= {batch_rows}
            assert pl.concat(frames).equals(whole)
        assert pl.concat(asyncio.run(ask(33))).equals(whole)
        filters: dict[str, Any] = {"model": "m1", "min_cost": 2}
        chosen = reader.iter_operations(4, columns=["cost", "model"], **filters)
        assert pl.concat(chosen).equals(reader.operations(columns=["cost", "model"], **filters))
        assert list(reader.iter_operations(model="nobody's")) == []
        for wrong in (0, True, 2.5):
            with pytest.raises(ValueError, match="batch_rows"):
                reader.iter_operations(wrong)  # type: ignore[arg-type]


@ONE_OF_EACH
def test_each_row_of_the_start_comes_once_while_others_write(
    stored: SQLLogHandler, log: logging.Logger, url: str
) -> None:
    with LogReader(url) as reader:
        start = reader.operations(columns=["operation_id"])["operation_id"].to_list()
        done = threading.Event()

        def write() -> None:
            number = 0
            while not done.is_set():
                number += 1
                log.info("", extra={"llm": call(number % 120)})
                stored.flush()

        writer = threading.Thread(target=write)
        writer.start()
        seen = [one for frame in reader.iter_operations(9) for one in frame["operation_id"]]
        done.set()
        writer.join()
        assert len(seen) == len(set(seen)) > 0
        assert set(start) <= set(seen)


QUERIES: dict[str, Callable[[pl.LazyFrame], pl.LazyFrame]] = {
    "everything": lambda lf: lf,
    "a time": lambda lf: lf.filter(pl.col("timestamp") > NOON + timedelta(seconds=10)),
    "a number, mirrored": lambda lf: lf.filter(pl.lit(5) <= pl.col("input_tokens")),
    "a fraction": lambda lf: lf.filter(pl.col("cost") < 3.3, pl.col("input_tokens") != 4),
    "between": lambda lf: lf.filter(pl.col("cost").is_between(1, 5, closed="right")),
    "a name": lambda lf: lf.filter((pl.col("model") == "m1") & pl.col("provider").str.starts_with("open")),
    "an id": lambda lf: lf.filter(pl.col("operation_id") == "no id"),
    "or": lambda lf: lf.filter((pl.col("model") == "m1") | (pl.col("cost") > 7)),
    "nulls": lambda lf: lf.filter(pl.col("input_tokens").is_null()),
    "columns": lambda lf: lf.filter(pl.col("cost") >= 2).select("model", pl.col("input_tokens") * 2),
    "head": lambda lf: lf.head(7),
    "head of some": lambda lf: lf.filter(pl.col("model") == "m2").head(7),
    "some of head": lambda lf: lf.head(7).filter(pl.col("model") == "m2"),
    "groups": lambda lf: lf.group_by("model").agg(pl.len(), pl.sum("cost")).sort("model"),
    "sorted": lambda lf: lf.sort("cost", descending=True).head(3),
    "count": lambda lf: lf.select(pl.len()),
}


@ONE_OF_EACH
def test_a_scan_gives_what_the_frame_gives(stored: SQLLogHandler, url: str) -> None:
    with LogReader(url) as reader:
        several: list[dict[str, Any]] = [{}, {"max_cost": 9.0}]
        for filters in several:
            whole = reader.operations(**filters)
            for name, query in QUERIES.items():
                found = query(reader.scan_operations(**filters)).collect()
                assert found.equals(query(whole.lazy()).collect()), name
                assert found.schema == query(whole.lazy()).collect_schema(), name


@pytest.mark.backends("sqlite")
def test_what_becomes_sql_is_shown(stored: SQLLogHandler, url: str) -> None:
    with LogReader(url) as reader:
        said: list[str] = []
        scan = reader.scan_operations(provider="openai", show_sql=said.append)
        query = scan.filter(pl.col("cost") > 1, pl.col("model").str.contains("m")).select("model")
        assert query.collect().height == reader.count(provider="openai") - 9
        (told,) = said
        assert "llm_operations.cost > " in told
        assert "llm_operations.provider IN" in told
        assert "llm_operations.extras" not in told
        assert "LIKE" not in told


@pytest.mark.backends("sqlite")
def test_a_scan_reads_in_batches_and_stops_when_it_has_enough(
    stored: SQLLogHandler, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aicore_sqllog.querying.scan._BATCH_ROWS", 10)
    heights: list[int] = []
    real = pages.iterate

    def counted(*arguments: Any) -> Any:
        for frame in real(*arguments):
            heights.append(frame.height)
            yield frame

    monkeypatch.setattr("aicore_sqllog.querying.scan.iterate", counted)
    with LogReader(url) as reader:
        assert reader.scan_operations().head(15).collect().height == 15
        assert heights == [10, 10]
