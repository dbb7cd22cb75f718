"""Whatever a server, a URL, a user or a lender has set: the same rows come back, and a lent engine is as before."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.pool import StaticPool

from aicore_sqllog import AsyncLogReader, LogReader, SQLLogHandler
from aicore_sqllog.storage.drivers import require
from tests.support.servers import BACKENDS, execute

SERVERS = [name for name in BACKENDS if name != "sqlite"]
LENDABLE = ["sqlite", "postgresql+psycopg2", "postgresql+psycopg", "mysql+pymysql"]
MODELS = ["z", "Z", "é", "e", "😀", "ａ", "日本", "a-b", "a b"]
INSTANTS = ["9999-12-31T23:59:59Z", "2026-03-04T05:06:07.000008Z"]

SERVER_SETTINGS = {
    "postgresql": [
        "SET datestyle = 'SQL, DMY'",
        "SET timezone = 'Asia/Tokyo'",
        "SET extra_float_digits = -10",
        "SET intervalstyle = 'iso_8601'",
        "SET standard_conforming_strings = off",
        "SET client_encoding = 'LATIN1'",
        "SET statement_timeout = '60s'",
    ],
    "mysql": [
        "SET SESSION sql_mode = ''",
        "SET SESSION sql_mode = 'ANSI,NO_BACKSLASH_ESCAPES'",
        "SET SESSION time_zone = '+09:00'",
        "SET SESSION sql_select_limit = 2",
        "SET NAMES latin1",
        "SET SESSION autocommit = 1",
        "SET SESSION foreign_key_checks = 0",
        "SET SESSION sql_safe_updates = 1",
        "SET SESSION default_storage_engine = MyISAM",
        "SET SESSION max_statement_time = 3",
    ],
    "sqlite": ["PRAGMA foreign_keys = ON", "PRAGMA synchronous = OFF", "PRAGMA case_sensitive_like = ON"],
}


def log_calls(connection: Any, **options: Any) -> None:
    log = logging.getLogger("test.settings")
    log.setLevel(1)
    log.propagate = False
    handler = SQLLogHandler(connection, flush_interval=3600, shutdown_timeout=30, **options)
    log.addHandler(handler)
    try:
        for number, model in enumerate(MODELS):
            call = {"model": model, "cost": 0.1 + 0.2, "messages": f"q\\'\n{model}", "action_id": str(number)}
            log.info("call", extra={"llm": {**call, "timestamp": INSTANTS[number == 0]}})
        assert handler.flush(60), repr(handler)
        stats = handler.stats()
        assert (stats.committed, stats.dead_lettered) == (len(MODELS), 0)
    finally:
        log.removeHandler(handler)
        handler.close()


def check(frame: pl.DataFrame) -> None:
    assert sorted(frame["model"].to_list()) == sorted(MODELS)
    assert set(frame["cost"].to_list()) == {0.1 + 0.2}
    assert [row[0]["content"] for row in frame["messages"].to_list()] == [
        f"q\\'\n{model}" for model in frame["model"].to_list()
    ]
    assert set(frame["timestamp"].dt.year().to_list()) == {2026, 9999}


def read(connection: Any, **options: Any) -> pl.DataFrame:
    with LogReader(connection, **options) as reader:
        return reader.operations(include_messages=True, order_by="action_id")


async def aread(connection: Any) -> pl.DataFrame:
    async with AsyncLogReader(connection) as reader:
        return await reader.operations(include_messages=True, order_by="action_id")


def settings_of(connection: sa.Connection) -> list[Any]:
    """Return what the lender can see of its connection."""
    driver: Any = connection.connection.driver_connection
    seen = [getattr(driver, name, None) for name in ("encoding", "text_factory", "row_factory", "isolation_level")]
    query = {
        "postgresql": "SELECT name, setting FROM pg_settings WHERE source = 'session' ORDER BY name",
        "mysql": "SHOW SESSION VARIABLES",
        "sqlite": "PRAGMA foreign_keys",
    }[connection.dialect.name]
    changing = ("timestamp", "rand_seed", "insert_id", "last_insert", "pseudo", "error_count", "warning", "gtid")
    return seen + [row for row in connection.exec_driver_sql(query).all() if not str(row[0]).startswith(changing)]


@contextmanager
def lent_engine(url: str, statement: str, **options: Any) -> Iterator[sa.Engine]:
    """An engine of one connection, on which *statement* was executed by its lender."""
    engine = sa.create_engine(
        require(make_url(url), asynchronous=False), pool_size=1, max_overflow=0, pool_timeout=5, **options
    )

    @sa.event.listens_for(engine, "connect")
    def _set(connection: Any, _record: object) -> None:
        if "client_encoding" in statement and hasattr(connection, "set_client_encoding"):
            connection.set_client_encoding("LATIN1")
            return
        cursor = connection.cursor()
        cursor.execute(statement)
        cursor.close()
        connection.commit()

    try:
        yield engine
    finally:
        engine.dispose()


@pytest.mark.backends(*LENDABLE)
def test_a_lent_engine_with_settings_of_its_own(url: str) -> None:
    for statement in SERVER_SETTINGS[make_url(url).get_backend_name()]:
        execute_clean(url)
        with lent_engine(url, statement) as engine:
            with engine.connect() as connection:
                before = settings_of(connection)
            log_calls(engine)
            check(read(engine))
            with engine.connect() as connection:
                assert settings_of(connection) == before, statement


@pytest.mark.backends(*LENDABLE)
@pytest.mark.parametrize(
    "lend",
    [
        pytest.param(lambda url: sa.create_engine(url, isolation_level="AUTOCOMMIT"), id="engine"),
        pytest.param(lambda url: sa.create_engine(url).execution_options(isolation_level="AUTOCOMMIT"), id="option"),
    ],
)
def test_a_lent_engine_at_autocommit_stores_a_batch_whole_or_not_at_all(
    url: str, lend: Callable[[str], sa.Engine]
) -> None:
    engine = lend(require(make_url(url), asynchronous=False).render_as_string(hide_password=False))
    log_calls(engine)
    check(read(engine))
    execute(url, "DELETE FROM llm_messages")
    execute(url, "ALTER TABLE llm_messages RENAME TO hidden")
    rows = execute(url, "SELECT count(*) FROM llm_operations")
    handler = SQLLogHandler(engine, migrate="off", flush_interval=3600, shutdown_timeout=0.1)
    handler.handle(logging.makeLogRecord({"llm": {"model": "m", "messages": "q"}}))
    assert handler.flush(1) is False
    assert execute(url, "SELECT count(*) FROM llm_operations") == rows, "half of a batch was committed"
    execute(url, "ALTER TABLE hidden RENAME TO llm_messages")
    assert handler.flush(60)
    handler.close()
    with engine.connect() as connection:
        assert connection.get_execution_options().get("isolation_level") in (None, "AUTOCOMMIT")
    engine.dispose()


@pytest.mark.backends("postgresql+psycopg2", "postgresql+psycopg", "mysql+pymysql")
@pytest.mark.parametrize("option", [{"stream_results": True}, {"yield_per": 2}], ids=str)
def test_an_engine_that_streams_every_result(option: dict[str, Any], url: str) -> None:
    engine = sa.create_engine(require(make_url(url), asynchronous=False), execution_options=option)
    log_calls(engine)
    check(read(engine))
    log_calls(url, engine_options={"execution_options": option})
    assert len(read(engine)) == 2 * len(MODELS)
    assert engine.get_execution_options() == option
    engine.dispose()


@pytest.mark.backends("mysql+pymysql")
def test_names_are_sorted_to_their_ends(url: str) -> None:
    log_calls(url)
    execute(url, "UPDATE llm_operations SET model = concat('claude-opus-', 9 - action_id)")
    with lent_engine(url, "SET SESSION max_sort_length = 8") as engine, LogReader(engine) as reader:
        models = reader.operations(order_by="model")["model"].to_list()
    assert models == sorted(models)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"isolation_level": "AUTOCOMMIT"}, id="AUTOCOMMIT"),
        pytest.param({"execution_options": {"isolation_level": "AUTOCOMMIT"}}, id="AUTOCOMMIT as an option"),
        pytest.param({"execution_options": {"logging_token": "mine"}}, id="another option"),
        pytest.param({"pool_pre_ping": False, "connect_args": {}}, id="no ping"),
    ],
)
def test_engine_options_are_added_to_ours(url: str, options: dict[str, Any]) -> None:
    log_calls(url, engine_options=options)
    check(read(url))
    check(asyncio.run(aread(url)))


@pytest.mark.backends(*SERVERS)
def test_the_schema_that_was_asked_for_wins_over_every_map(url: str) -> None:
    ours, theirs = (f"{name}_{url.rpartition('_')[2]}" for name in ("llm_ours", "llm_theirs"))
    options = {"execution_options": {"schema_translate_map": {None: theirs, ours: theirs}}}
    engine = sa.create_engine(require(make_url(url).set(drivername=sync_name(url)), asynchronous=False), **options)
    for schema in (ours, theirs):
        execute(url, f"CREATE SCHEMA {schema}")
    try:
        log_calls(url, schema=ours, engine_options=options)
        check(read(engine, schema=ours))
        log_calls(engine)
        log_calls(url, engine_options={"execution_options": {"schema_translate_map": {None: theirs}}})
        assert len(read(engine)) == 2 * len(MODELS)
        counted = [execute(url, f"SELECT count(*) FROM {schema}.llm_operations")[0][0] for schema in (ours, theirs)]
        assert counted == [len(MODELS), 2 * len(MODELS)]
    finally:
        engine.dispose()
        for schema in (ours, theirs):
            execute(url, f"DROP SCHEMA {schema}" + (" CASCADE" if url.startswith("postgresql") else ""))


@pytest.mark.backends(*SERVERS)
def test_a_database_with_settings_of_its_own(url: str) -> None:
    """For PostgreSQL they are the database's, for MySQL what the URL or the user has each connection begin with."""
    name = make_url(url).database
    if url.startswith("mysql"):
        for options in (
            {"init_command": "SET NAMES latin1"},
            {"init_command": "SET sql_mode = '', sql_select_limit = 1"},
            {"init_command": "SET sql_safe_updates = 1, default_storage_engine = MyISAM, max_statement_time = 3"},
        ):
            execute_clean(url)
            log_calls(url + "?charset=latin1", engine_options={"connect_args": options})
            check(read(url + "?charset=latin1"))
            check(asyncio.run(aread(url + "?charset=latin1")))
        return
    for statement in SERVER_SETTINGS["postgresql"]:
        execute_clean(url)
        execute(url, f"ALTER DATABASE {name} {statement}")
        log_calls(url)
        check(read(url))
        check(asyncio.run(aread(url)))
        execute(url, f"ALTER DATABASE {name} RESET ALL")


@pytest.mark.backends("postgresql+psycopg2", "postgresql+psycopg", "postgresql+asyncpg")
@pytest.mark.parametrize(("encoding", "is_refused"), [("LATIN1", True), ("SQL_ASCII", False)])
def test_a_database_whose_encoding_cannot_hold_every_text_is_refused_by_name(
    encoding: str, is_refused: bool, url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Else each record with such a text would be a dead letter, for no fault of its own."""
    name = f"{make_url(url).database}_{encoding.lower()}"
    execute(url, f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    handler = SQLLogHandler(make_url(url).set(database=name), shutdown_timeout=1)
    try:
        handler.handle(logging.makeLogRecord({"llm": {"model": "m", "messages": "Grüße 😀"}}))
        assert handler.flush(10 if is_refused is False else 1) is not is_refused
        assert handler.stats().dead_lettered == 0
        assert (f"keeps texts in {encoding}" in capfd.readouterr().err) is is_refused
    finally:
        handler.close()
        execute(url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.backends("sqlite")
@pytest.mark.parametrize("is_kept", [True, False], ids=["committed", "rolled back"])
def test_the_one_connection_of_a_static_pool_in_the_middle_of_a_transaction(url: str, is_kept: bool) -> None:
    engine = sa.create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE accounts (n INTEGER)")
    handler = SQLLogHandler(engine, flush_interval=3600, shutdown_timeout=0.1)
    handler.handle(logging.makeLogRecord({"llm": {"model": "before"}}))
    assert handler.flush(30)
    with engine.connect() as connection:
        connection.exec_driver_sql("INSERT INTO accounts VALUES (1)")
        handler.handle(logging.makeLogRecord({"llm": {"model": "during"}}))
        assert handler.flush(0.5) is False
        assert len(read_models(engine)) == 1
        assert connection.exec_driver_sql("SELECT count(*) FROM accounts").scalar() == 1
        (connection.commit if is_kept else connection.rollback)()
    assert handler.flush(30)
    assert read_models(engine) == ["before", "during"]
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM accounts").scalar() == int(is_kept)
    handler.close()
    engine.dispose()


@pytest.mark.backends("sqlite", "postgresql+psycopg2")
def test_a_static_pool_on_a_database_of_many_connections_gives_us_one_of_our_own(url: str) -> None:
    options = {"connect_args": {"check_same_thread": False}} if url.startswith("sqlite") else {}
    engine = sa.create_engine(url, poolclass=StaticPool, **options)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
        log_calls(engine)
        check(read(engine))
        assert connection.in_transaction()
        connection.rollback()
    engine.dispose()


def read_models(engine: sa.Engine) -> list[str]:
    with LogReader(engine) as reader:
        return reader.operations(order_by="operation_id")["model"].to_list()


def sync_name(url: str) -> str:
    """Return what the synchronous driver's URL begins with."""
    name = url.partition(":")[0]
    return {"postgresql+asyncpg": "postgresql+psycopg2", "mysql+asyncmy": "mysql+pymysql"}.get(name, name)


def execute_clean(url: str) -> None:
    """Drop our tables, where there are some."""
    for table in ("llm_log_losses", "llm_messages", "llm_operations", "llm_sessions", "aicore_sqllog_version"):
        execute(url, f"DROP TABLE IF EXISTS {table}")
