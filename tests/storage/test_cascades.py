"""Revision 0003: a plain DELETE takes along what belongs to it, through whatever connection; orphans are told."""

import logging
import sqlite3
import threading
from pathlib import Path

import pytest

from aicore_sqllog import SQLLogHandler
from aicore_sqllog.cli import main
from aicore_sqllog.storage.connection import resolve
from aicore_sqllog.storage.engines import open_database
from aicore_sqllog.storage.migrate import upgrade
from tests.conftest import MakeHandler
from tests.support.servers import ONE_OF_EACH, execute
from tests.support.statements import statements_to

CALL = {"provider": "p", "model": "m", "messages": "q", "response": "a"}


def bring_to(url: str, revision: str) -> None:
    database = open_database(resolve(url))
    database.run(lambda connection: upgrade(connection, None, revision))
    database.close()


def rows(url: str) -> list[int]:
    return [execute(url, f"SELECT count(*) FROM llm_{name}")[0][0] for name in ("sessions", "operations", "messages")]


@ONE_OF_EACH
def test_a_plain_delete_takes_along_what_belongs_to_it(
    url: str, make_handler: MakeHandler, log: logging.Logger
) -> None:
    bring_to(url, "0002")
    handler = make_handler(migrate="off")
    for session in ("a", "b", "b"):
        log.info("old", extra={"llm": {**CALL, "session_id": session}})
    assert handler.flush()
    assert rows(url) == [2, 3, 6]
    bring_to(url, "0003")
    log.info("by a handler that was there before", extra={"llm": {**CALL, "session_id": "c"}})
    assert handler.flush()
    session = "SELECT session_id FROM llm_sessions WHERE session_key = 'c'"
    execute(url, f"DELETE FROM llm_operations WHERE session_id = ({session})")
    assert rows(url) == [3, 3, 6]
    execute(url, "DELETE FROM llm_sessions WHERE session_key = 'b'")
    assert rows(url) == [2, 1, 2]


def test_sqlite_s_do_where_foreign_keys_are_off_and_where_they_are_on(
    url: str, path: Path, make_handler: MakeHandler, log: logging.Logger
) -> None:
    handler = make_handler()
    for session in ("a", "b"):
        log.info("call", extra={"llm": {**CALL, "session_id": session}})
    assert handler.flush()
    for heeded, session in (("OFF", "a"), ("ON", "b")):
        connection = sqlite3.connect(path)
        connection.execute(f"PRAGMA foreign_keys = {heeded}")
        if heeded == "ON":
            connection.execute("DROP TRIGGER tr_llm_operations_delete")
            connection.execute("DROP TRIGGER tr_llm_sessions_delete")
        connection.execute("DELETE FROM llm_sessions WHERE session_key = ?", (session,))
        connection.commit()
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        connection.close()
    assert rows(url) == [0, 0, 0]


def test_orphans_of_the_past_are_told_and_kept(url: str, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bring_to(url, "0002")
    handler = SQLLogHandler(url, migrate="off", shutdown_timeout=30)
    for number in range(3):
        handler.handle(logging.makeLogRecord({"llm": {**CALL, "session_id": f"s{number}"}}))
    assert handler.flush()
    handler.close()
    execute(url, "DELETE FROM llm_operations WHERE rowid < 3")  # through a connection that heeds no foreign keys
    execute(url, "DELETE FROM llm_sessions WHERE session_key = 's2'")
    said: list[str] = []
    handler = SQLLogHandler(url, on_notice=lambda reason, text: said.append(text), shutdown_timeout=30)
    handler.handle(logging.makeLogRecord({"llm": CALL}))
    assert handler.flush()
    handler.close()
    (told,) = said
    assert "4 rows of llm_messages and 1 rows of llm_operations belong to nothing any more" in told
    assert "prune(connection, orphans=True)" in told
    assert rows(url) == [3, 2, 8]


def until_done(*command: str) -> None:
    """Run *command*, again where the server found that it and the writer waited for each other."""
    assert any(main(list(command)) == 0 for _ in range(5))


@ONE_OF_EACH
def test_a_migration_beside_a_writer_of_the_version_before_loses_no_record(
    url: str, make_handler: MakeHandler, log: logging.Logger
) -> None:
    bring_to(url, "0002")
    handler = make_handler(migrate="off", flush_interval=0.001, batch_size=20)
    is_over = threading.Event()
    logged = 0

    def write() -> None:
        nonlocal logged
        while not is_over.is_set() or logged < 500:
            log.info("call", extra={"llm": {**CALL, "session_id": f"s{logged % 7}"}})
            logged += 1
            if logged % 20 == 0:
                assert handler.flush(60)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(2):
            until_done("upgrade", "--connection", url)
            until_done("downgrade", "0002", "--yes", "--connection", url)
        until_done("upgrade", "--connection", url)
    finally:
        is_over.set()
        writer.join()
    assert handler.flush(60)
    stats = handler.stats()
    assert (stats.committed, stats.dead_lettered, stats.dropped) == (logged, 0, 0)
    assert rows(url) == [7, logged, 2 * logged]


def test_no_row_is_moved_on_sqlite(url: str, path: Path) -> None:
    bring_to(url, "0002")
    with statements_to(url) as seen:
        bring_to(url, "0003")
    assert not [statement for statement in seen if statement.startswith(("INSERT INTO llm", "CREATE TABLE"))]
    assert "ON DELETE CASCADE" in execute(url, "SELECT sql FROM sqlite_master WHERE name = 'llm_messages'")[0][0]
