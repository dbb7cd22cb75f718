"""A database that is missing, refuses, or may only be read is created or told; many processes may start at once."""

import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from aicore_sqllog import SQLLogHandler
from aicore_sqllog.storage.connection import resolve
from aicore_sqllog.storage.engines import open_database
from tests.conftest import MakeHandler
from tests.support.processes import wait_until
from tests.support.servers import drop_database, execute, new_database, server_url


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
    told = until_told(capsys)
    assert told.count("\n") == 1
    assert "1 record is waiting" in told
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
    server = server_url(backend.partition("+")[0])
    assert server is not None
    url = server.set(drivername=backend, database="nothing", password="hunter2").set(**change)
    handler = SQLLogHandler(url, flush_interval=3600, shutdown_timeout=0.1)
    log.info("x")
    handler.handle(logging.makeLogRecord({"llm": {}}))
    assert handler.flush(0) is False
    said = until_told(capsys)
    assert re.search(told, said), said
    assert "hunter2" not in said + repr(handler)
    handler.close()


def until_told(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the first line that is said on stderr, as soon as it is."""
    said = ""

    def is_told() -> bool:
        nonlocal said
        said += capsys.readouterr().err
        return said.endswith("\n")

    wait_until(is_told)
    return said


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
    assert handler.flush(0) is False
    said = until_told(capsys)
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
