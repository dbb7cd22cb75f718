"""Which driver a URL gets, and what an engine that is lent is used for."""

import logging

import pytest

from aicore_sqllog import AsyncLogReader, ConfigurationError, LogReader, SQLLogHandler, apolars_from_db
from aicore_sqllog.storage import drivers
from aicore_sqllog.storage.connection import resolve
from tests.conftest import MakeHandler


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
