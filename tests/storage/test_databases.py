"""What every database must do alike: instants, look-alike names, large texts, and a replay of real traffic."""

import json
import logging
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from aicore_sqllog import (
    LlmOperation,
    LogReader,
    polars_from_db,
)
from tests.conftest import ROOT, MakeHandler
from tests.support.processes import run_python
from tests.support.servers import ONE_OF_EACH, execute
from tests.support.traffic import documents


def test_instants_are_the_records_to_the_microsecond_wherever_host_and_server_are(
    url: str, make_handler: MakeHandler, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    try:
        options: dict[str, Any] = {}
        if url.startswith("mysql"):
            options["init_command"] = "SET time_zone = '-07:00'"
        elif "psycopg" in url:
            options["options"] = "-c timezone=America/St_Johns"
        handler = make_handler(engine_options={"connect_args": options})
        created = []
        log.addFilter(lambda record: created.append(record.created) or True)  # type: ignore[func-returns-value]
        for _ in range(50):
            log.info("now", extra={"llm": {}})
        log.info("then", extra={"llm": {"timestamp": datetime(2026, 3, 29, 1, 30, 0, 1, UTC)}})
        assert handler.flush()
        frame = polars_from_db(url, order_by="operation_id")
    finally:
        log.filters.clear()
        monkeypatch.undo()
        time.tzset()
    expected = [datetime.fromtimestamp(instant, UTC) for instant in created[:-1]]
    assert frame["timestamp"].to_list() == [*expected, datetime(2026, 3, 29, 1, 30, 0, 1, UTC)]
    assert frame.schema["timestamp"] == pl.Datetime("us", "UTC")


def test_names_that_look_alike_are_not_alike(url: str, make_handler: MakeHandler, log: logging.Logger) -> None:
    names = ["gpt-4", "GPT-4", "gpt-4 ", "gpt-é", "gpt-e", "gpt-e\u0301", "ｇpt-4"]
    handler = make_handler()
    for name in names:
        log.info("call", extra={"llm": {"model": name, "session_id": name, "response": name}})
    assert handler.flush()
    with LogReader(url) as reader:
        for number, name in enumerate(names):
            for filters in ({"model": name}, {"session_id": name}):
                found = reader.operations(**filters)  # type: ignore[arg-type]
                assert found["model"].to_list() == [name], number
        assert reader.count(where=LlmOperation.model == "gpt-4") == 1
    grouped = execute(url, "SELECT model, count(*) FROM llm_operations GROUP BY model")
    assert sorted(grouped) == sorted((name, 1) for name in names)
    assert len(execute(url, "SELECT DISTINCT content FROM llm_messages")) == len(names)


@pytest.mark.parametrize("size", [800_000, 20_000_000])
def test_a_large_message_is_stored_whole_or_cut_with_a_mark(
    size: int, url: str, make_handler: MakeHandler, log: logging.Logger
) -> None:
    text = "".join(random.Random(1).choices("abc \n'\\é漢😀", k=10_000)) * (size // 10_000)
    handler = make_handler()
    log.info("small", extra={"llm": {"response": "before"}})
    log.info("large", extra={"llm": {"response": text, "extras": {"k": "v"}}})
    log.info("small", extra={"llm": {"response": "after"}})
    assert handler.flush(120), repr(handler)
    frame = polars_from_db(url, include_messages=True, order_by="operation_id")
    (before,), (large,), (after,) = frame["messages"].to_list()
    assert (before["content"], after["content"]) == ("before", "after")
    if large["content"] == text:
        assert size < 1_000_000 or not url.startswith("mysql")
        return
    extras = json.loads(frame["extras"][1])
    assert extras["sqllog"]["truncated"] == {"messages.0.content": size}
    assert (extras["k"], extras["sqllog"]["message"]) == ("v", "large")
    head, mark, tail = large["content"].partition("characters cut: the server takes")
    limit = execute(url, "SELECT @@max_allowed_packet")[0][0]
    assert f"{limit:,} bytes at most" in tail
    assert text.startswith(head.rpartition("\n[")[0])
    assert text.endswith(tail.partition("]\n")[2])
    assert len(large["content"].encode()) > limit / 4
    assert mark


@pytest.mark.slow
@ONE_OF_EACH
def test_extras_too_large_for_the_server_are_replaced_and_the_record_is_kept(
    url: str, make_handler: MakeHandler, log: logging.Logger
) -> None:
    handler = make_handler()
    log.info(
        "large",
        extra={"llm": {"extras": {"k": "v" * 20_000_000}, "messages": [{"role": "u", "odd": "o" * 20_000_000}]}},
    )
    assert handler.flush(120), repr(handler)
    frame = polars_from_db(url, include_messages=True)
    extras = json.loads(frame["extras"][0])
    if url.startswith("mysql"):
        assert extras["k"]["truncated"] > 20_000_000
        assert extras["sqllog"]["truncated"]["messages.0.parts"] > 20_000_000
    else:
        assert len(extras["k"]) == 20_000_000


@pytest.mark.slow
@ONE_OF_EACH
@pytest.mark.parametrize(
    "source",
    [pytest.param("aider_analytics/events.jsonl.gz", marks=pytest.mark.long), "tau_bench/gpt-4o-airline.jsonl.gz"],
)
def test_a_replay_gives_the_same_frames_from_every_database(source: str, url: str, data: Path, tmp_path: Path) -> None:
    frames = []
    for connection in (url, f"sqlite:///{tmp_path / 'reference.db'}"):
        done = run_python(ROOT / "examples/replay.py", data / source, "--connection", connection, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        frame = polars_from_db(connection, include_messages=True, order_by="operation_id")
        frames.append(frame)
    ours, reference = frames
    assert ours.schema == reference.schema
    assert len(ours) == sum(1 for _ in calls(data / source)) > 1000
    for column in ours.columns:
        if column == "operation_id" or (column == "timestamp" and "tau" in source):
            continue  # minted, and the time of the replay
        assert decoded(ours, column) == decoded(reference, column), column


def calls(path: Path) -> Iterator[Any]:
    for document in documents(path):
        if "traj" in document:
            yield from (message for message in document["traj"] if message["role"] == "assistant")
            yield from [None] * (document["traj"][-1]["role"] != "assistant")
        elif document["event"] in ("message_send", "message_send_exception"):
            yield document


def decoded(frame: pl.DataFrame, column: str) -> list[Any]:
    values = frame[column].to_list()
    if column == "session_id":  # a record without a session goes to one of its process
        return [values.index(value) for value in values]
    if column in ("extras", "session_metadata"):
        return [value and json.loads(value) for value in values]
    if column == "messages":
        return [[{**m, "parts": m["parts"] and json.loads(m["parts"])} for m in messages] for messages in values]
    return values
