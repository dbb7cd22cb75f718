"""Far times, time zones and collations: the same rows in the same order from every database, whatever it is set to."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy.engine import URL

from aicore_sqllog import SQLLogHandler, apolars_from_db, polars_from_db
from aicore_sqllog.querying import source
from tests.support.servers import BACKENDS, drop_database, execute, new_database, query, server_url

FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
TIMES = [FIRST, datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC), LAST]
NAMES = [
    "",
    " ",
    "A",
    "Z",
    "_",
    "a",
    "a ",
    "aa",
    "b",
    "\x7f",
    "\x80",
    "É",
    "ß",
    "ä",
    "é",
    "Ω",
    "\ufeff",
    "\uff21",
    "😀",
]
DRIVERS = {
    "postgresql": ["psycopg2", "psycopg", "asyncpg"],
    "mysql": ["pymysql", "asyncmy"],
}


@contextmanager
def database_set_to(kind: str, create: str = "", then: str = "") -> Iterator[URL]:
    """A database made with the clauses *create* and changed by *then*, in which a name is ``{name}``."""
    driver = DRIVERS[kind][0]
    url, server = new_database(f"{kind}+{driver}", create=False), server_url(kind)
    if url is None or server is None:
        pytest.skip(f"there is no server for {kind}")
    execute(server, f"CREATE DATABASE {url.database} {create}")
    if then:
        execute(server, then.format(name=url.database))
    yield url
    source.close_all()
    drop_database(url)


def store(url: URL | str, calls: list[dict[str, object]]) -> None:
    handler = SQLLogHandler(url, flush_interval=3600, shutdown_timeout=30)
    for call in calls:
        handler.handle(logging.makeLogRecord({"llm": {"response": "r", **call}}))
    assert handler.flush(30)
    handler.close()


def every_reading(url: URL, **arguments: object) -> list[pl.DataFrame]:
    """Return the frame that each driver gives, by both readers where it has both kinds."""
    frames = []
    for driver in DRIVERS[url.get_backend_name()]:
        named = url.set(drivername=f"{url.get_backend_name()}+{driver}")
        frames.append(polars_from_db(named, **arguments))  # type: ignore[arg-type]
        frames.append(asyncio.run(apolars_from_db(named, **arguments)))  # type: ignore[arg-type]
    return frames


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Los_Angeles"])
def test_a_postgresql_server_s_zone_and_date_style_change_no_time(zone: str) -> None:
    settings = f"ALTER DATABASE {{name}} SET timezone = '{zone}'"
    with database_set_to("postgresql", then=settings) as url:
        execute(server_url("postgresql") or "", f"ALTER DATABASE {url.database} SET datestyle = 'SQL, DMY'")
        store(url, [{"timestamp": time} for time in TIMES])
        for frame in every_reading(url):
            assert frame["timestamp"].to_list() == TIMES
        assert polars_from_db(url, start_date=LAST).height == 1
        assert polars_from_db(url, end_date=TIMES[1]).height == 1


def test_what_a_datetime_cannot_hold_is_the_nearest_that_it_can() -> None:
    with database_set_to("postgresql", then="ALTER DATABASE {name} SET timezone = 'Asia/Tokyo'") as url:
        store(url, [{"action_id": str(number)} for number in range(4)])
        for number, time in enumerate(
            ["-infinity", "4000-01-01 00:00:00+00 BC", "20000-01-01 00:00:00+00", "infinity"]
        ):
            execute(url, f"UPDATE llm_operations SET timestamp = '{time}' WHERE action_id = '{number}'")
        for frame in every_reading(url):
            assert frame["timestamp"].to_list() == [FIRST, FIRST, LAST, LAST]
            assert frame["action_id"].to_list() == ["0", "1", "2", "3"]


def test_a_mariadb_server_s_zone_changes_no_time() -> None:
    with database_set_to("mysql") as url:
        store(url, [{"timestamp": time} for time in TIMES])
        for setting in ("time_zone='-11:00'", "time_zone='+13:00'"):
            zoned = url.set(drivername="mysql+pymysql").update_query_dict({"init_command": f"SET {setting}"})
            assert polars_from_db(zoned)["timestamp"].to_list() == TIMES
        for frame in every_reading(url):
            assert frame["timestamp"].to_list() == TIMES


def test_times_that_another_program_wrote_to_a_file_cost_no_row(url: str, path: Path) -> None:
    store(url, [{"action_id": str(number), "timestamp": TIMES[2]} for number in range(4)])
    for number, time in enumerate(["'2026-03-01T01:00:00+01:00'", "'yesterday'", "17"]):
        query(path, f"UPDATE llm_operations SET timestamp = {time} WHERE action_id = '{number}'")
    frame = polars_from_db(url, order_by="action_id")
    assert frame["timestamp"].to_list() == [TIMES[2], None, None, TIMES[2]]
    assert asyncio.run(apolars_from_db(url, order_by="action_id")).equals(frame)


COLLATIONS = [
    pytest.param("postgresql", "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'", id="postgresql-icu"),
    pytest.param("postgresql", "TEMPLATE template0 LOCALE 'C.UTF-8'", id="postgresql-c"),
    pytest.param("mysql", "CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", id="mariadb-general"),
    pytest.param("mysql", "CHARACTER SET latin1", id="mariadb-latin1"),
]


@pytest.mark.parametrize(("kind", "create"), COLLATIONS)
def test_names_sort_code_point_by_code_point_whatever_the_collation(kind: str, create: str) -> None:
    with database_set_to(kind, create) as url:
        store(url, [{"model": name, "session_id": f"s{name}"} for name in reversed(NAMES)])
        for frame in every_reading(url, order_by="model"):
            assert frame["model"].to_list() == NAMES
        for frame in every_reading(url, order_by="session_key", limit=5, descending=True):
            assert frame["model"].to_list() == NAMES[:-6:-1]
        for name in NAMES:
            assert polars_from_db(url, model=name)["model"].to_list() == [name]


@pytest.mark.backends("sqlite")
def test_names_sort_code_point_by_code_point_in_a_file(url: str) -> None:
    assert sorted(NAMES) == NAMES
    store(url, [{"model": name} for name in reversed(NAMES)])
    assert polars_from_db(url, order_by="model")["model"].to_list() == NAMES


def test_the_drivers_are_those_that_everything_is_tested_on() -> None:
    assert {f"{kind}+{driver}" for kind, drivers in DRIVERS.items() for driver in drivers} == set(BACKENDS) - {"sqlite"}
