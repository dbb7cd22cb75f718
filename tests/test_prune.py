"""Deleting: what goes and what stays, beside writers, stopped and begun again; texts that expire before numbers."""

import logging
import random
import subprocess
import sys
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aicore_sqllog import (
    ConfigurationError,
    LogNotFoundError,
    SchemaError,
    polars_from_db,
    prune,
)
from aicore_sqllog.cli import main
from aicore_sqllog.retention import Counts
from tests.conftest import MakeHandler
from tests.support.servers import ONE_OF_EACH, execute

DAY = datetime(2026, 3, 1, 12, tzinfo=UTC)
CANARY = "kanarienvogel-4711"


def rows(url: str) -> Counts:
    names = ("operations", "messages", "sessions", "losses")
    return Counts(*(execute(url, f"SELECT count(*) FROM llm_{'log_' * (n == 'losses')}{n}")[0][0] for n in names))


def call(number: int, **fields: Any) -> dict[str, Any]:
    """A call of the day *number*, with two messages."""
    own = {"provider": "p", "model": "m", "messages": f"question {number}", "response": "answer", "cost": 0.5}
    return {"llm": {**own, "timestamp": DAY + timedelta(days=number), **fields}}


@pytest.fixture
def filled(url: str, make_handler: MakeHandler, log: logging.Logger) -> str:
    """Ten days of calls: a session a day and one over all, of two users in two workspaces."""
    handler = make_handler()
    for number in range(10):
        user, workspace = ("ann", "bob")[number % 2], ("w0", None)[number % 3 == 0]
        log.info("said", extra=call(number, session_id=f"day-{number}", user_id=user, workspace=workspace))
        log.info("said", extra=call(number, session_id="long", user_id=None))
    assert handler.flush()
    assert rows(url) == Counts(20, 40, 11, 0)
    return url


CASES = [
    pytest.param({"before": DAY + timedelta(days=4)}, Counts(8, 16, 4), id="before, exclusive"),
    pytest.param({"before": "2026-03-05"}, Counts(8, 16, 4), id="a date is its first moment"),
    pytest.param({"before": date(2026, 3, 5)}, Counts(8, 16, 4), id="a date"),
    pytest.param({"before": datetime(2026, 3, 5, 12, 0, 1)}, Counts(10, 20, 5), id="naive is UTC"),
    pytest.param({"user_id": "ann"}, Counts(5, 10, 5), id="a user"),
    pytest.param({"user_id": [None, "bob"]}, Counts(15, 30, 6), id="users, one of them nobody"),
    pytest.param({"session_id": "long"}, Counts(10, 20, 1), id="a session by its key"),
    pytest.param({"session_id": ["day-1", "day-2", "none"]}, Counts(2, 4, 2), id="sessions"),
    pytest.param({"workspace": "w0"}, Counts(6, 12, 6), id="a workspace"),
    pytest.param({"user_id": "ann", "before": "2026-03-05"}, Counts(2, 4, 2), id="and-ed"),
    pytest.param({"user_id": []}, Counts(), id="none of them"),
    pytest.param({"before": "2027-01-01"}, Counts(20, 40, 11), id="all"),
]


@pytest.mark.parametrize(("filters", "deleted"), CASES)
@pytest.mark.backends("sqlite")
def test_what_matches_goes_and_all_else_stays(filled: str, filters: dict[str, Any], deleted: Counts) -> None:
    before = rows(filled)
    told = prune(filled, dry_run=True, **filters)
    assert (told.deleted, told.left, told.dry_run) == (deleted, deleted, True)
    assert rows(filled) == before
    done = prune(filled, **filters)
    assert (done.deleted, done.emptied, done.left) == (deleted, Counts(), Counts())
    assert rows(filled) == Counts(*(old - gone for old, gone in zip(before, deleted, strict=True)))
    assert prune(filled, **filters).deleted == Counts()


@pytest.mark.backends("postgresql+psycopg2", "mysql+pymysql")
def test_the_same_matches_on_a_server(filled: str) -> None:
    for case in CASES:
        filters, deleted = case.values
        assert prune(filled, dry_run=True, **filters).deleted == deleted, filters  # type: ignore[arg-type]
    before = rows(filled)
    assert prune(filled, session_id=["day-1", "day-2", "none"]).deleted == Counts(2, 4, 2)
    assert prune(filled, user_id=[None, "bob"], before="2026-03-05").deleted == Counts(5, 10, 1)
    assert prune(filled, workspace="w0").left == Counts()
    assert rows(filled) == Counts(before.operations - 2 - 5 - 4, before.messages - 2 * 11, before.sessions - 7)


def test_every_driver_deletes_and_says_how_far_it_is(filled: str) -> None:
    seen: list[tuple[int, int]] = []
    done = prune(filled, before="2026-03-05", progress=lambda number, total: seen.append((number, total)))
    assert done.deleted == Counts(8, 16, 4)
    assert seen[-1] == (8, 8)
    assert done.transactions >= len(seen) > 0


@ONE_OF_EACH
def test_texts_expire_before_numbers(filled: str, make_handler: MakeHandler, log: logging.Logger) -> None:
    handler = make_handler()
    try:
        raise ValueError(CANARY)
    except ValueError:
        own = call(0, user_id="eve", input_tokens=CANARY, project="x" * 10, completion_args={"stop": CANARY})
        tool = {"role": "assistant", "content": None, "tool_calls": [{"id": CANARY}]}
        log.info(
            "%s", CANARY, exc_info=True, extra={"llm": {**own["llm"], "messages": [tool], "extras": {"n": 10**30}}}
        )
    assert handler.flush()
    columns = ["operation_id", "timestamp", "model", "cost", "status", "error_type", "user_id"]
    before = polars_from_db(filled, order_by="operation_id", columns=columns)
    counts = rows(filled)
    told = prune(filled, content_before="2026-03-05", dry_run=True)
    done = prune(filled, content_before="2026-03-05")
    assert done.emptied == told.emptied == Counts(9, 18)
    assert (done.deleted, done.left) == (Counts(), Counts())
    assert rows(filled) == counts
    frame = polars_from_db(filled, order_by="operation_id", include_messages=True)
    assert frame.select(columns).equals(before)
    assert CANARY not in str(frame.to_dicts())
    texts = {call["user_id"]: call for call in frame.to_dicts() if call["timestamp"].date() == DAY.date()}
    assert [(one["role"], one["content"], one["parts"]) for one in texts["ann"]["messages"]] == [
        ("user", None, None),
        ("assistant", None, None),
    ]
    assert str(10**30) in texts["eve"]["extras"]
    assert '"logger"' in texts["eve"]["extras"]
    kept = frame.filter(frame["timestamp"] > datetime(2026, 3, 5, tzinfo=UTC))
    assert all(one["content"] for messages in kept["messages"] for one in messages)
    assert prune(filled, content_before="2026-03-05").emptied == Counts()
    both = prune(filled, before="2026-03-03", content_before="2026-03-07", user_id="ann")
    assert (both.deleted, both.emptied) == (Counts(1, 2, 1), Counts(1, 2))


@ONE_OF_EACH
def test_losses_of_a_time_go_with_it_and_sessions_that_are_empty(filled: str) -> None:
    execute(
        filled,
        "INSERT INTO llm_log_losses (loss_id, reason, count, bytes, first_at, last_at) VALUES "
        "('00000000-0000-7000-8000-000000000001', 'r', 1, 1, '2026-03-01 00:00:00.0', '2026-03-02 00:00:00.000000'), "
        "('00000000-0000-7000-8000-000000000002', 'r', 1, 1, '2026-03-01 00:00:00.0', '2026-03-09 00:00:00.000000')",
    )
    execute(filled, "DELETE FROM llm_operations WHERE user_id = 'ann'")
    assert prune(filled, before="2026-03-05", user_id="ann").deleted == Counts()
    assert prune(filled, before="2026-03-05").deleted == Counts(6, 12, 4, 1)
    assert rows(filled) == Counts(9, 18, 7, 1)


def test_erasing_a_user_leaves_nothing_of_hers_in_the_file(
    url: str, path: Path, make_handler: MakeHandler, log: logging.Logger
) -> None:
    handler = make_handler()
    for number in range(300):
        user = {"user_id": CANARY, "messages": CANARY * 300} if number % 3 == 0 else {"user_id": "ann"}
        log.info("said", extra=call(number, session_id=f"s-{user['user_id']}-{number}", **user))
    assert handler.flush()

    def found() -> set[str]:
        return {one.name for one in path.parent.glob("llm.db*") if CANARY.encode() in one.read_bytes()}

    assert found()
    size = sum(one.stat().st_size for one in path.parent.glob("llm.db*"))
    done = prune(url, user_id=CANARY, vacuum=True)
    assert (done.deleted, done.left) == (Counts(100, 200, 100), Counts())
    assert found() == set()
    assert path.stat().st_size < size / 2
    assert polars_from_db(url)["user_id"].unique().to_list() == ["ann"]
    log.info("the handler goes on", extra=call(1))
    assert handler.flush()


@pytest.mark.backends("postgresql+psycopg2", "mysql+pymysql")
def test_erasing_a_user_leaves_nothing_of_hers_in_the_tables(filled: str) -> None:
    with pytest.raises(ConfigurationError, match=r"vacuum=True cannot work on .*VACUUM FULL"):
        prune(filled, user_id="ann", vacuum=True)
    assert prune(filled, user_id="ann").deleted == Counts(5, 10, 5)
    for table in ("llm_sessions", "llm_operations", "llm_messages"):
        assert not [row for row in execute(filled, f"SELECT * FROM {table}") if "ann" in map(str, row)]


def test_orphans_go_when_that_is_asked_for(filled: str, path: Path) -> None:
    execute(filled, "DROP TRIGGER tr_llm_operations_delete")
    execute(filled, "DROP TRIGGER tr_llm_sessions_delete")
    execute(filled, "DELETE FROM llm_operations WHERE user_id = 'ann'")
    execute(filled, "DELETE FROM llm_sessions WHERE session_key = 'long'")
    assert prune(filled, before="2026-03-01").deleted == Counts()
    assert prune(filled, orphans=True, dry_run=True).deleted == Counts(10, 30)
    done = prune(filled, orphans=True)
    assert (done.deleted, done.left) == (Counts(10, 30), Counts())
    assert execute(filled, "PRAGMA foreign_key_check") == []
    assert rows(filled) == Counts(5, 10, 10)


@ONE_OF_EACH
def test_a_writer_whose_sessions_are_deleted_under_it_loses_no_record(
    url: str, make_handler: MakeHandler, log: logging.Logger
) -> None:
    handler = make_handler(flush_interval=0.001, batch_size=10)
    log.info("first", extra=call(0))
    assert handler.flush()
    is_over, logged = threading.Event(), 1

    def write() -> None:
        nonlocal logged
        while not is_over.is_set() or logged < 300:
            log.info("said", extra=call(0, session_id=f"s{logged % 3}"))
            logged += 1
            if logged % 10 == 0:
                assert handler.flush(60)

    writer = threading.Thread(target=write)
    writer.start()
    deleted = Counts()
    try:
        while deleted.sessions < 8:
            deleted = deleted.plus(prune(url, before="2027-01-01").deleted)
    finally:
        is_over.set()
        writer.join()
    assert handler.flush(60)
    stats = handler.stats()
    assert (stats.committed, stats.dead_lettered, stats.dropped) == (logged, 0, 0)
    left = rows(url)
    assert deleted.operations + left.operations == logged
    assert deleted.messages + left.messages == 2 * logged
    orphans = "SELECT count(*) FROM llm_operations WHERE session_id NOT IN (SELECT session_id FROM llm_sessions)"
    assert execute(url, orphans) == [(0,)]


SCRIPT = """
import sys
from aicore_sqllog import prune
prune(sys.argv[1], before="2026-03-05", progress=lambda done, total: print(done, flush=True))
"""


def _whole(url: str) -> None:
    """Nothing is half deleted, and nothing is gone that should stay."""
    lonely = "SELECT count(*) FROM llm_operations o WHERE (SELECT count(*) FROM llm_messages m "
    assert execute(url, lonely + "WHERE m.operation_id = o.operation_id) <> 2") == [(0,)]
    empty = "SELECT count(*) FROM llm_sessions s WHERE NOT EXISTS (SELECT 1 FROM llm_operations o "
    assert execute(url, empty + "WHERE o.session_id = s.session_id)") == [(0,)]
    kept = execute(url, "SELECT count(*) FROM llm_operations WHERE timestamp >= '2026-03-05 00:00:00.000000'")
    assert kept == [(500,)]


def _killed_and_begun_again(url: str, make_handler: MakeHandler, log: logging.Logger, times: int) -> None:
    handler = make_handler()
    chosen = random.Random(times)
    for _ in range(times):
        for number in range(1000):
            log.info("said", extra=call(number % 8, session_id=f"s{number // 4}"))
        assert handler.flush(60)
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, url], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        last = chosen.randrange(0, 300)
        while (line := process.stdout.readline()) and int(line) < last:
            pass
        process.kill()
        process.wait()
        process.stdout.close()
        _whole(url)
        assert prune(url, before="2026-03-05").left == Counts()
        _whole(url)
        prune(url, before="2027-01-01")
        assert rows(url) == Counts()


@pytest.mark.slow
@pytest.mark.backends("sqlite")  # servers in the test below
def test_killed_and_begun_again(url: str, make_handler: MakeHandler, log: logging.Logger) -> None:
    _killed_and_begun_again(url, make_handler, log, 1)


@pytest.mark.long
@pytest.mark.timeout(1200)
@ONE_OF_EACH
def test_killed_and_begun_again_often(url: str, make_handler: MakeHandler, log: logging.Logger) -> None:
    _killed_and_begun_again(url, make_handler, log, 50)


def test_what_cannot_be_is_refused_and_nothing_created(url: str, path: Path) -> None:
    with pytest.raises(LogNotFoundError, match="nothing was created"):
        prune(url, before="2026-01-01")
    assert list(path.parent.glob("llm.db*")) == []
    with pytest.raises(ValueError, match="needs to be told what shall go"):
        prune(url)
    with pytest.raises(ValueError, match="before='someday'"):
        prune(url, before="someday")
    assert main(["upgrade", "0001", "--connection", url]) == 0
    with pytest.raises(SchemaError, match="at revision 0001, and pruning needs 0002"):
        prune(url, before="2026-01-01")
    assert main(["downgrade", "base", "--yes", "--connection", url]) == 0
    with pytest.raises(LogNotFoundError, match="none of our tables"):
        prune(url, before="2026-01-01")
