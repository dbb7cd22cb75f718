"""Batches into rows: exactly once, ids, sessions, and how many statements it takes."""

import itertools
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from aicore_sqllog import ConfigurationError, LogReader, SQLLogHandler, polars_from_db
from aicore_sqllog.storage import upsert
from aicore_sqllog.storage.connection import resolve
from aicore_sqllog.storage.dialects.generic import GenericDialect
from aicore_sqllog.storage.upsert import _without_stored
from aicore_sqllog.writing.writer import Writer
from tests.support.records import counts, records
from tests.support.servers import engine_of


def test_a_batch_tried_again_after_it_was_committed_is_stored_once(url: str) -> None:
    writer = Writer(resolve(url))
    old, new = records(10), records(5)
    assert writer.write(old, 1) == (10, 0, 0, 0, 0)
    assert writer.write(old, 2) == (0, 10, 0, 0, 0)
    mixed = [*old, *new]
    assert writer.write(mixed, 2) == (5, 10, 0, 0, 0)
    assert counts(url) == [1, 15, 45]
    writer.close()


def test_a_database_of_another_kind_gets_plain_inserts_after_a_look(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upsert, "dialect_of", lambda source: GenericDialect())
    writer, other = Writer(resolve(url)), Writer(resolve(url))
    one, two, three = (records(10, session_id=key) for key in ("a", "b", "b"))
    assert writer.write(one, 1) == (10, 0, 0, 0, 0)
    assert other.write([*one, *two], 2) == (10, 10, 0, 0, 0)
    assert writer.write(three, 1) == (10, 0, 0, 0, 0)
    assert counts(url) == [2, 30, 90]
    # Between the look and the insert another writer may have stored the session.
    looks = itertools.chain([lambda session, model, rows: rows], itertools.repeat(_without_stored))
    monkeypatch.setattr(upsert, "_without_stored", lambda session, model, rows: next(looks)(session, model, rows))
    late = Writer(resolve(url))
    assert late.write(records(10, session_id="a"), 1) == (10, 0, 0, 0, 0)
    assert next(looks) is _without_stored, "the first look was had"
    assert counts(url) == [2, 40, 120]
    for each in (writer, other, late):
        each.close()


def test_an_operation_id_that_is_taken_gets_a_fresh_one_and_is_counted(url: str) -> None:
    writer = Writer(resolve(url))
    first, second = records(1, operation_id="mine"), records(2, operation_id="mine")
    assert writer.write(first, 1) == (1, 0, 0, 0, 0)
    assert writer.write(second, 1) == (2, 0, 0, 0, 2)
    assert writer.write(second, 2) == (0, 2, 0, 0, 0)
    assert counts(url) == [1, 3, 9]
    assert len(polars_from_db(url, operation_id="mine")) == 1
    writer.close()


def test_a_batch_is_a_statement_a_table(url: str) -> None:
    writer = Writer(resolve(url), accelerate=False)
    writer.write(records(1), 1)
    engine = engine_of(writer.destination.database)
    statements: list[str] = []
    sa.event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2].split("(")[0]))
    writer.write(records(200), 1)
    writer.write(records(200, session_id="new"), 1)
    inserts = [" ".join(statement.split()[:3]) for statement in statements if statement.startswith("INSERT")]
    rows = ["INSERT INTO llm_operations", "INSERT INTO llm_messages"]
    assert inserts == [*rows, "INSERT INTO llm_sessions", *rows]
    writer.close()


def test_the_first_record_fills_the_session_and_a_later_metadata_stays_with_its_operation(url: str) -> None:
    writer = Writer(resolve(url))
    for metadata in ({"a": 1, "b": [2]}, {"b": [2], "a": 1}, {"a": 2}, None):
        writer.write(records(1, session_id="s", session_metadata=metadata, workspace="w"), 1)
    frame = polars_from_db(url, session_id="s", order_by="operation_id")
    assert [json.loads(text) for text in frame["session_metadata"]] == [{"a": 1, "b": [2]}] * 4
    noted = [json.loads(text)["sqllog"].get("session_metadata") for text in frame["extras"]]
    assert noted == [None, None, {"a": 2}, None]
    writer.close()


def test_a_borrowed_engine_is_used_as_it_is_and_never_disposed(log: logging.Logger, path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{path}", poolclass=StaticPool, connect_args={"check_same_thread": False})
    handler = SQLLogHandler(engine, flush_interval=3600, shutdown_timeout=30)
    log.addHandler(handler)
    log.info("call", extra={"provider": "p", "model": "m"})
    assert handler.flush()
    handler.close()
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "delete", "no pragma of ours"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 0
    with LogReader(engine) as reader:
        assert reader.count() == 1
    engine.dispose()


def test_an_engine_in_memory_works_within_the_process_or_is_refused(log: logging.Logger) -> None:
    with pytest.raises(ConfigurationError, match="StaticPool"):
        SQLLogHandler(sa.create_engine("sqlite://"))
    engine = sa.create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    handler = SQLLogHandler(engine, flush_interval=3600, shutdown_timeout=30)
    log.addHandler(handler)
    log.info("call", extra={"provider": "p", "model": "m"})
    assert handler.flush()
    assert len(polars_from_db(engine)) == 1
    engine.dispose()


def test_our_writes_wait_in_wal_mode_with_foreign_keys(url: str, path: Path) -> None:
    writer = Writer(resolve(url))
    writer.write(records(1), 1)

    def look(connection: sa.Connection) -> list[Any]:
        assert connection.connection.in_transaction
        names = ("journal_mode", "foreign_keys", "busy_timeout")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

    assert writer.destination.run(look) == ["wal", 1, 5000]
    writer.close()
