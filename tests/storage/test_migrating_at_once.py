"""Two handlers and an application that all migrate at once in one process: each gets its own tables, and no error."""

import logging
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import op
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

from aicore_sqllog import SQLLogHandler
from tests.support.servers import drop_database, new_database

OURS = {"llm_log_losses", "llm_messages", "llm_operations", "llm_sessions", "aicore_sqllog_version"}
THEIRS = {f"app_{number}" for number in range(20)}


def migrate_at_once(urls: list[str]) -> list[str]:
    """Have two handlers and an application make their tables in these three databases; return what went wrong."""
    wrong: list[str] = []
    ready = threading.Barrier(3)

    def run_application(url: str) -> None:
        engine = sa.create_engine(url)
        try:
            # This is what an env.py does: Alembic's `op`, which is one for the whole process.
            with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
                ready.wait(30)
                for name in sorted(THEIRS):
                    op.create_table(name, sa.Column("id", sa.Integer, primary_key=True))
        except Exception as exc:
            wrong.append(f"application: {exc!r}")
        engine.dispose()

    def run_handler(url: str) -> None:
        handler = SQLLogHandler(url, flush_interval=3600, shutdown_timeout=30)
        ready.wait(30)
        handler.handle(logging.makeLogRecord({"llm": {"provider": "p", "model": "m"}}))
        if not handler.flush(60) or handler.stats().retries:
            wrong.append(repr(handler))
        handler.close()

    runs = (run_handler, run_handler, run_application)
    threads = [threading.Thread(target=run, args=(url,)) for run, url in zip(runs, urls, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for url, expected in zip(urls, (OURS, OURS, THEIRS), strict=True):
        engine = sa.create_engine(url)
        found = set(sa.inspect(engine).get_table_names())
        engine.dispose()
        if found != expected:
            wrong.append(f"{sorted(found ^ expected)} are missing or in the wrong database")
    return wrong


@pytest.mark.parametrize("times", [3, pytest.param(200, marks=[pytest.mark.long, pytest.mark.timeout(3600)])])
def test_on_sqlite(times: int, tmp_path: Path) -> None:
    for turn in range(times):
        assert migrate_at_once([f"sqlite:///{tmp_path}/{turn}_{name}.db" for name in ("a", "b", "app")]) == []


@pytest.mark.parametrize("times", [2, pytest.param(200, marks=[pytest.mark.long, pytest.mark.timeout(3600)])])
def test_on_postgresql(times: int) -> None:
    for _ in range(times):
        urls = [new_database("postgresql+psycopg2") for _ in range(3)]
        assert all(urls), "no server"
        try:
            assert migrate_at_once([url.render_as_string(hide_password=False) for url in urls if url]) == []
        finally:
            for url in urls:
                if url is not None:
                    drop_database(url)


def test_alembic_says_nothing_into_the_application_s_log(tmp_path: Path) -> None:
    """Not the first time, when it is imported, nor later."""
    said: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.name)

    root, keep = logging.getLogger(), Keep()
    level = root.level
    root.addHandler(keep)
    root.setLevel(logging.INFO)
    try:
        handler = SQLLogHandler(f"sqlite:///{tmp_path}/a.db", flush_interval=3600)
        handler.handle(logging.makeLogRecord({"llm": {"model": "m"}}))
        assert handler.flush(60)
        handler.close()
        with sa.create_engine("sqlite://").connect() as connection:
            MigrationContext.configure(connection)  # the application's own is not silenced
    finally:
        root.setLevel(level)
        root.removeHandler(keep)
    assert set(said) == {"alembic.runtime.migration"}
