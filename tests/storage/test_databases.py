"""What every database must do alike: instants, look-alike names, large texts, drivers, a database that is missing."""

import json
import logging
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from aicore_sqllog import (
    AsyncLogReader,
    ConfigurationError,
    LlmOperation,
    LogReader,
    SQLLogHandler,
    apolars_from_db,
    polars_from_db,
)
from aicore_sqllog.storage import drivers
from aicore_sqllog.storage.connection import resolve
from aicore_sqllog.storage.engines import open_database
from tests.conftest import ROOT, MakeHandler
from tests.support.processes import run_python
from tests.support.servers import ONE_OF_EACH, drop_database, execute, new_database, server_url
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
        assert extras["truncated"] > 20_000_000
        assert extras["sqllog"]["truncated"]["messages.0.parts"] > 20_000_000
    else:
        assert len(extras["k"]) == 20_000_000


@pytest.mark.server
def test_a_missing_database_is_created_and_said_once(log: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    for backend in ("postgresql+psycopg2", "postgresql+psycopg", "mysql+pymysql"):
        url = new_database(backend, create=False)
        assert url is not None, "no server"
        handler = SQLLogHandler(url, flush_interval=3600, shutdown_timeout=30)
        log.addHandler(handler)
        try:
            log.info("first", extra={"llm": {}})
            assert handler.flush(), repr(handler)
            log.info("second", extra={"llm": {}})
            assert handler.flush()
            assert execute(url, "SELECT count(*) FROM llm_operations") == [(2,)]
            assert capsys.readouterr().err.count(f"created the database {url.database} on 127.0.0.1.") == 1
        finally:
            log.removeHandler(handler)
            handler.close()
            drop_database(url)


@pytest.mark.parametrize("migrate", ["check", "off"])
def test_what_is_missing_is_told_with_its_remedy_while_records_wait(
    migrate: str, url: str, make_handler: MakeHandler, log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = make_handler(migrate=migrate)
    log.info("waits", extra={"llm": {}})
    assert handler.flush(0.5) is False
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "1 records wait" in told
    assert "aicore-sqllog upgrade" in told
    assert handler.stats().pending == 1
    open_and_upgrade(url)
    assert handler.flush(60) is True


def open_and_upgrade(url: str) -> None:
    from aicore_sqllog.storage.migrate import upgrade

    database = open_database(resolve(url))
    database.run(upgrade)
    database.close()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"port": 1}, "refused|Can't connect"),
        ({"username": "nobody_here", "password": "hunter2"}, "Check user and password|Connection refused"),
    ],
)
@pytest.mark.parametrize("backend", ["postgresql+psycopg2", "postgresql+psycopg", "mysql+pymysql"])
def test_a_server_that_does_not_let_us_in_is_told_without_the_password(
    backend: str, change: dict[str, Any], told: str, log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    server = server_url(backend.partition("+")[0])
    assert server is not None
    url = server.set(drivername=backend, database="nothing", password="hunter2").set(**change)
    handler = SQLLogHandler(url, flush_interval=3600, shutdown_timeout=0.1)
    log.info("x")
    handler.handle(logging.makeLogRecord({"llm": {}}))
    assert handler.flush(3) is False
    said = capsys.readouterr().err
    assert re.search(told, said), said
    assert "hunter2" not in said + repr(handler)
    handler.close()


@pytest.fixture
def weak(request: pytest.FixtureRequest) -> Iterator[URL]:
    """A user who may connect to a database, and do nothing in it; the URL is that database's."""
    backend: str = request.param
    url, server = new_database(backend), server_url(backend.partition("+")[0])
    assert url is not None, "no server"
    assert server is not None
    name = f"weak_{url.database}"
    if backend.startswith("postgresql"):
        user = name
        execute(server, f"CREATE ROLE {user} LOGIN PASSWORD 'hunter2'")
    else:
        user = f"{name[:32]}@'%'"
        execute(server, f"CREATE USER {user} IDENTIFIED BY 'hunter2'")
        execute(server, f"GRANT SELECT ON {url.database}.* TO {user}")
    yield url.set(username=name[:32] if backend.startswith("mysql") else name, password="hunter2")
    drop_database(url)
    execute(server, f"DROP {'ROLE' if backend.startswith('postgresql') else 'USER'} {user}")


@pytest.mark.parametrize("weak", ["postgresql+psycopg2", "postgresql+psycopg", "mysql+pymysql"], indirect=True)
@pytest.mark.parametrize("database", ["that is there", "that is missing"])
def test_a_user_without_the_right_is_told_with_the_remedy(
    database: str, weak: URL, capsys: pytest.CaptureFixture[str]
) -> None:
    url = weak if database == "that is there" else weak.set(database="sqllog_not_there")
    handler = SQLLogHandler(url, flush_interval=3600, shutdown_timeout=0.1)
    handler.handle(logging.makeLogRecord({"llm": {"response": "a secret prompt"}}))
    assert handler.flush(3) is False
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "Grant the user the right to do this" in said or "may not create it" in said
    assert "hunter2" not in said
    assert "prompt" not in said
    assert handler.stats().pending == 1
    handler.close()


def test_a_read_only_database_is_told_with_its_remedy(
    path: Path, url: str, log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    open_and_upgrade(url)
    handler = SQLLogHandler(f"sqlite:///file:{path}?mode=ro&uri=true", flush_interval=3600, shutdown_timeout=0.1)
    handler.handle(logging.makeLogRecord({"llm": {}}))
    assert handler.flush(2) is False
    assert "can be written to" in capsys.readouterr().err
    handler.close()


# -- drivers -----------------------------------------------------------------------------------


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The modules that can be found; a test changes them."""
    names = {"sqlite3", "aiosqlite", "psycopg2", "psycopg", "asyncpg", "pymysql", "asyncmy"}
    monkeypatch.setattr(drivers, "is_installed", names.__contains__)
    return names


@pytest.mark.parametrize(
    ("given", "missing", "sync", "asynchronous"),
    [
        ("postgresql://h/d", (), "postgresql+psycopg", "postgresql+psycopg"),
        ("postgres://h/d", (), "postgresql+psycopg", "postgresql+psycopg"),
        ("postgresql://h/d", ("psycopg",), "postgresql+psycopg2", "postgresql+asyncpg"),
        ("postgresql+psycopg2://h/d", (), "postgresql+psycopg2", "postgresql+psycopg"),
        ("postgresql+asyncpg://h/d", (), "postgresql+psycopg", "postgresql+asyncpg"),
        ("postgresql+asyncpg://h/d", ("psycopg", "psycopg2"), None, "postgresql+asyncpg"),
        ("mysql://h/d", (), "mysql+pymysql", "mysql+asyncmy"),
        ("mariadb://h/d", (), "mariadb+pymysql", "mariadb+asyncmy"),
        ("mysql+asyncmy://h/d", ("pymysql",), None, "mysql+asyncmy"),
        ("sqlite:///x.db", (), "sqlite", "sqlite+aiosqlite"),
        ("sqlite+aiosqlite:///x.db", (), "sqlite", "sqlite+aiosqlite"),
    ],
)
def test_a_url_is_opened_with_a_driver_that_is_installed(
    given: str, missing: tuple[str, ...], sync: str | None, asynchronous: str | None, installed: set[str]
) -> None:
    installed.difference_update(missing)
    place = resolve(given)
    for wants_async, expected in ((False, sync), (True, asynchronous)):
        chosen = drivers.choose(place.url, asynchronous=wants_async)
        assert (chosen and chosen.drivername) == expected


def test_no_driver_at_all_is_an_error_that_names_the_extra(installed: set[str]) -> None:
    installed.clear()
    for url, extra in (("postgresql://u:secret@h/d", "postgres"), ("mysql://h/d", "mysql")):
        with pytest.raises(ConfigurationError, match=rf"aicore-sqllog\[{extra}\]") as caught:
            SQLLogHandler(url)
        assert "secret" not in str(caught.value)
    installed.update({"asyncpg", "asyncmy"})
    with pytest.raises(ConfigurationError, match=r"No synchronous driver for mysql.*aicore-sqllog\[mysql\]"):
        LogReader("mysql://h/d").count()


@pytest.mark.parametrize(
    ("given", "asynchronous", "query"),
    [
        ("postgresql+psycopg2://h/d?sslmode=require&application_name=x", True, {"ssl": "require"}),
        ("postgresql+asyncpg://h/d?ssl=require&command_timeout=3", False, {"sslmode": "require"}),
    ],
)
def test_a_sibling_gets_the_query_in_its_own_words(
    given: str, asynchronous: bool, query: dict[str, str], installed: set[str]
) -> None:
    if asynchronous:
        installed.discard("psycopg")
    chosen = drivers.choose(resolve(given).url, asynchronous=asynchronous)
    assert chosen is not None
    assert dict(chosen.query) == query


def test_a_borrowed_asynchronous_engine_gives_its_url_and_is_left_alone(url: str, log: logging.Logger) -> None:
    import asyncio

    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    async def main() -> tuple[int, int]:
        place = resolve(url)
        engine = create_async_engine(drivers.require(place.url, asynchronous=True), poolclass=NullPool)
        handler = SQLLogHandler(engine, flush_interval=3600, shutdown_timeout=30)
        log.addHandler(handler)
        log.info("call", extra={"llm": {}})
        assert await handler.aflush()
        async with AsyncLogReader(engine) as reader:
            mine = await reader.count()
        with LogReader(engine) as twin:
            theirs = await asyncio.to_thread(twin.count)
        await engine.dispose()
        return mine, theirs

    assert asyncio.run(main()) == (1, 1)


def test_one_process_two_loops(url: str, make_handler: MakeHandler, log: logging.Logger) -> None:
    import asyncio

    handler = make_handler()
    for turn in range(3):
        log.info("call", extra={"llm": {}})
        assert asyncio.run(handler.aflush())
        assert len(asyncio.run(apolars_from_db(url))) == turn + 1


# -- real traffic ------------------------------------------------------------------------------


@ONE_OF_EACH
@pytest.mark.parametrize("source", ["aider_analytics/events.jsonl.gz", "tau_bench/gpt-4o-airline.jsonl.gz"])
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


# -- many processes ----------------------------------------------------------------------------

WORKER = """
import logging, sys
from aicore_sqllog import SQLLogHandler
url, worker, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
handler = SQLLogHandler(url, shutdown_timeout=100)
log = logging.getLogger("app"); log.setLevel("INFO"); log.addHandler(handler)
for number in range(count):
    log.info("call", extra={"llm": {"session_id": f"s{(number * 7 + worker) % 50}", "agent_id": f"w{worker}",
             "input_tokens": number, "response": "r"}})
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("processes", "count", "turns"),
    [
        pytest.param(8, 200, 1, id="8 x 200"),
        pytest.param(16, 1000, 5, id="16 x 1000, five times", marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize("backend", ["sqlite", "postgresql+psycopg2", "postgresql+psycopg", "mysql+pymysql"])
def test_many_processes_start_at_once_where_there_is_no_database_yet(
    backend: str, processes: int, count: int, turns: int, tmp_path: Path
) -> None:
    for turn in range(turns):
        if backend == "sqlite":
            url = sa.make_url(f"sqlite:///{tmp_path}/turn{turn}.db")
        else:
            found = new_database(backend, create=False)
            assert found is not None, "no server"
            url = found
        running = [
            subprocess.Popen(
                [sys.executable, "-W", "error", "-c", WORKER, url.render_as_string(False), str(worker), str(count)],
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ},
            )
            for worker in range(processes)
        ]
        said = [process.communicate(timeout=280)[1] for process in running]
        assert [process.returncode for process in running] == [0] * processes, said
        told = "".join(said)
        created = f"aicore_sqllog: created the database {url.database} on {url.host}.\n"
        assert told in (("",) if backend == "sqlite" else (created, "")), told
        rows = execute(url, "SELECT count(*), count(DISTINCT operation_id) FROM llm_operations")
        assert rows == [(processes * count, processes * count)]
        assert execute(url, "SELECT count(*), count(DISTINCT session_key) FROM llm_sessions") == [(50, 50)]
        per_worker = execute(url, "SELECT agent_id, sum(input_tokens) FROM llm_operations GROUP BY agent_id")
        assert {total for _, total in per_worker} == {count * (count - 1) // 2}
        if backend != "sqlite":
            drop_database(url)
