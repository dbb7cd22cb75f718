"""The database is away, for long or for ever: what the application feels, what it costs, and how it ends."""

import itertools
import json
import logging
import random
import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from aicore_sqllog import SQLLogHandler
from aicore_sqllog.batching import contents, worker
from aicore_sqllog.batching.clock import monotonic
from aicore_sqllog.batching.limits import Limits
from aicore_sqllog.delivery.service import THREAD_NAME
from tests.conftest import REPORT, MakeHandler
from tests.support.batching import Line, TestSink
from tests.support.handlers import set_limit
from tests.support.processes import run_python, wait_until
from tests.support.servers import ONE_OF_EACH, execute, free_port, query
from tests.support.stands import stand_before
from tests.support.statements import listening, statements_to

WEEK_SECONDS = 7 * 86_400


def call(log: logging.Logger, number: int, text: str = "text") -> None:
    log.info("call", extra={"provider": "p", "model": "m", "input_tokens": number, "response": text})


def writer_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == THREAD_NAME}


def numbers_stored(url: str) -> list[int]:
    """Return the numbers of the calls that another connection finds, each as often as it is there."""
    return sorted(number for (number,) in execute(url, "select input_tokens from llm_operations"))


def test_one_record_is_there_for_others_when_flush_returns(
    make_handler: MakeHandler, log: logging.Logger, url: str
) -> None:
    """R14: whoever is frozen after that, as a function that has answered is, has lost nothing."""
    handler = make_handler()
    for number in range(3):
        call(log, number)
        assert handler.flush(30) is True
        assert numbers_stored(url) == list(range(number + 1))


@ONE_OF_EACH
def test_a_flush_with_nothing_waiting_does_nothing(make_handler: MakeHandler, log: logging.Logger, url: str) -> None:
    """R14: before the first record, after one, and after close."""
    before = writer_threads()
    handler = make_handler()
    with statements_to(url) as sent:
        assert all(handler.flush() for _ in range(100))
        assert sent == [], "no connection was thought of"
        assert writer_threads() == before
        call(log, 1)
        assert handler.flush()
        ours = writer_threads()
        assert len(ours - before) == 1
        assert sent
        sent.clear()
        assert all(handler.flush() for _ in range(100))
        assert writer_threads() == ours
        handler.close()  # whatever the thread had been asked for, it has done
        assert all(handler.flush() for _ in range(100))
        assert sent == []
        assert writer_threads() == before


@pytest.fixture
def heard() -> Iterator[list[str]]:
    """What is logged, at any level, through the root logger or the package's own."""
    messages: list[str] = []
    collector = logging.Handler()
    collector.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    loggers = [logging.getLogger(), logging.getLogger("aicore_sqllog")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(collector)
        logger.setLevel(logging.DEBUG)
    yield messages
    for logger, level in zip(loggers, levels, strict=True):
        logger.removeHandler(collector)
        logger.setLevel(level)


@pytest.mark.parametrize("part", ["batching.buffer.Buffer.put", "delivery.service.DeliveryService.put"])
def test_a_problem_met_in_a_log_call_is_told_once_and_not_through_logging(
    part: str,
    make_handler: MakeHandler,
    log: logging.Logger,
    path: Path,
    heard: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """R18: some Pythons drop what is logged within a log call, and others call us again for it."""

    def fail(*arguments: object) -> None:
        raise RuntimeError(f"a secret is in {arguments}")

    handler = make_handler()
    with monkeypatch.context() as patch:
        patch.setattr(f"aicore_sqllog.{part}", fail)
        for number in range(1_000):
            call(log, number, "a secret")
    (line,) = capfd.readouterr().err.splitlines()
    assert line == "aicore_sqllog: a record could not be taken: RuntimeError"
    assert heard == []
    logging.getLogger("aicore_sqllog").debug("would have been heard")
    assert heard == ["would have been heard"] * 2, "there and at the root"
    call(log, 1_000)
    assert handler.flush() is False, "a thousand were lost"
    assert query(path, "select input_tokens from llm_operations") == [(1_000,)]
    stats = handler.stats()
    assert (stats.accepted, stats.committed, stats.dropped_by_reason) == (1_001, 1, {"untaken": 1_000})
    assert query(path, "select reason, count from llm_log_losses") == [("untaken", 1_000)]


LOOP = """
import asyncio, json, logging, socket, sys, time
from aicore_sqllog import SQLLogHandler
hole = socket.create_server(("127.0.0.1", 0))
url = f"postgresql+psycopg2://u:p@127.0.0.1:{hole.getsockname()[1]}/d"
handler = SQLLogHandler(url, overflow=sys.argv[1], queue_size=100, shutdown_timeout=0)
log = logging.getLogger("app"); log.setLevel("INFO"); log.addHandler(handler)
def call(): log.info("call", extra={"provider": "p", "model": "m", "response": "x" * 1000})
call()
handler.flush(0)
connection, _ = hole.accept()
for _ in range(100): call()
full = handler.stats()
assert (full.pending, full.dropped) == (101, 0), full
lags = []
async def tick():
    while True:
        began = time.perf_counter()
        await asyncio.sleep(0)
        lags.append(time.perf_counter() - began)
async def main():
    ticker = asyncio.create_task(tick())
    began = time.perf_counter()
    for _ in range(1000):
        call()
        await asyncio.sleep(0)
    seconds = time.perf_counter() - began
    ticker.cancel()
    return seconds
seconds = asyncio.run(main())
stats = handler.stats()
print(json.dumps([seconds, lags, stats.accepted, stats.pending, stats.dropped_by_reason]))
connection.close()
hole.close()
"""


@pytest.mark.parametrize(
    ("overflow", "reason"), [("block", "event_loop"), ("drop_oldest", "queue_full"), ("drop_newest", "queue_full")]
)
def test_a_database_that_never_answers_and_a_full_queue_do_not_hold_an_event_loop(
    overflow: str, reason: str, tmp_path: Path
) -> None:
    """R21: a thousand calls on the loop, in less than the time for which one may wait elsewhere."""
    (tmp_path / "script.py").write_text(LOOP)
    done = run_python("script.py", overflow, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    seconds, lags, accepted, pending, dropped = json.loads(done.stdout)
    assert seconds < Limits().block_seconds
    assert len(lags) >= 999, "the other task had its turn after each call"
    assert (accepted, pending, dropped) == (1_101, 101, {reason: 1_000})
    REPORT.append(
        f"event loop, black hole, full queue, {overflow}: 1000 calls in {seconds:.3f} s, "
        f"largest lag {max(lags) * 1000:.2f} ms"
    )


needs_statm = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads resident memory from /proc")

MEMORY = """
import json, logging, os, sys, time
from pathlib import Path
from aicore_sqllog import SQLLogHandler
url, records, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
handler = SQLLogHandler(url, overflow="drop_oldest", queue_size=10**9, queue_bytes=16 * 2**20, shutdown_timeout=0)
log = logging.getLogger("app"); log.setLevel("INFO"); log.addHandler(handler)
def resident(): return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
def call(): log.info("call", extra={"llm": {"model": "m", "cost": 0.1, "messages": "x" * 10_000}})
if folder:
    for _ in range(500): call()
    assert handler.flush(60)
before, largest, kept = 0, 0, []
for _ in range(3 if folder else 1):
    if folder: os.rename(folder[0], "elsewhere")
    retries = handler.stats().retries
    call()
    handler.flush(0)
    while handler.stats().retries == retries: time.sleep(0.005)
    before = before or resident()
    for number in range(records):
        call()
        if number % 250 == 0: largest = max(largest, resident())
    largest = max(largest, resident())
    if folder:
        os.rename("elsewhere", folder[0])
        handler.flush(60)
        kept.append((resident() - before) / (16 * 2**20))
stats = handler.stats()
books = stats.accepted, stats.committed, stats.dropped, stats.pending
print(json.dumps([(largest - before) / (16 * 2**20), kept, *books]))
"""


@pytest.mark.slow
@needs_statm
def test_an_outage_takes_no_more_memory_than_the_queue_may(tmp_path: Path) -> None:
    """R26: 600 MB are logged; the tenth that is allowed on top of 64 MiB is a quarter on 16, where fixed costs show."""
    (tmp_path / "script.py").write_text(MEMORY)
    done = run_python("script.py", f"postgresql+psycopg2://u@127.0.0.1:{free_port()}/d", "60000", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    grown, _, accepted, committed, dropped, pending = json.loads(done.stdout)
    assert grown <= 1.25
    assert (accepted, committed) == (60_001, 0)
    assert accepted == dropped + pending > pending
    REPORT.append(f"60,000 records of 10 KB into an outage: memory grew by {grown:.2f} of queue_bytes")


@pytest.mark.slow
@needs_statm
@pytest.mark.parametrize(("records", "most"), [(1_400, 0.5), (10_000, 1.0)], ids=["whole", "without messages"])
def test_when_the_database_is_back_the_memory_is_too(records: int, most: float, tmp_path: Path) -> None:
    """R26: after three outages as after the first. Of many small records the allocator keeps pieces, for the next."""
    (tmp_path / "script.py").write_text(MEMORY)
    folder = tmp_path / "folder"
    folder.mkdir()
    done = run_python("script.py", f"sqlite:///{folder / 'llm.db'}", str(records), folder, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    grown, kept, *books = json.loads(done.stdout)
    assert grown > 0.75, "there was nothing to come back"
    assert max(kept) < most
    assert kept[2] < kept[0] + 0.25
    total = 500 + 3 * (records + 1)
    assert books == [total, total, 0, 0]
    assert query(folder / "llm.db", "select count(*) from llm_operations") == [(total,)]
    shares = ", ".join(f"{share:.2f}" for share in kept)
    REPORT.append(
        f"3 outages, {records:,} records of 10 KB in each: grown by {grown:.2f} of queue_bytes, kept {shares}"
    )


@ONE_OF_EACH
@pytest.mark.parametrize(("due_by", "batch_size", "flush_interval"), [("size", 100, 3600), ("time", 10**6, 0.5)])
def test_producers_that_never_idle_do_not_keep_batches_from_being_written(
    due_by: str, batch_size: int, flush_interval: float, make_handler: MakeHandler, log: logging.Logger, url: str
) -> None:
    """R30: what makes a batch due is not put off by the next record."""
    limits = {"batch_size": batch_size, "flush_interval": flush_interval, "queue_size": 1_000}
    handler = make_handler(overflow="drop_oldest", **limits)
    set_limit(handler, batch_bytes=2**30)
    is_over = threading.Event()
    ages: list[float] = []

    def produce() -> None:
        while not is_over.is_set():
            call(log, 1)

    def has_committed(least: int) -> bool:
        stats = handler.stats()
        ages.append(stats.oldest_age)
        return stats.committed >= least

    producers = [threading.Thread(target=produce) for _ in range(2)]
    for producer in producers:
        producer.start()
    try:
        for _ in range(3):
            wait_until(partial(has_committed, handler.stats().committed + 300))
    finally:
        is_over.set()
        for producer in producers:
            producer.join()
    handler.flush()
    stats = handler.stats()
    assert stats.pending == 0
    assert execute(url, "select count(*) from llm_operations") == [(stats.accepted - stats.dropped,)]
    oldest = f"{url.partition(':')[0]}: oldest waited {max(ages):.2f} s at most"
    REPORT.append(f"two producers that never idle, batches due by {due_by}, {oldest}")


def test_a_lock_of_another_on_sqlite_is_outlasted_and_we_leave_none(
    make_handler: MakeHandler, log: logging.Logger, url: str, path: Path
) -> None:
    """R41: records come all the while; when it is over, the other can write as soon as we have."""
    handler = make_handler(flush_interval=0.01, engine_options={"connect_args": {"timeout": 0.05}})
    numbers = itertools.count()

    def log_until_failed_twice() -> bool:
        call(log, next(numbers))
        return handler.stats().retries >= 2

    call(log, next(numbers))
    assert handler.flush()
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as other:
        other.execute("create table theirs (number)")
        other.execute("begin immediate")
        other.execute("insert into theirs values (1)")
        wait_until(log_until_failed_twice)
        assert handler.stats().committed == 1
        other.execute("commit")
        call(log, next(numbers))
        assert handler.flush() is True
        other.execute("insert into theirs values (2)")  # does not wait: it fails if we hold any lock
        assert other.execute("pragma journal_mode").fetchone() == ("wal",)
    assert numbers_stored(url) == list(range(next(numbers)))
    assert handler.stats().dropped == handler.stats().dead_lettered == 0
    assert query(path, "select count(*) from theirs") == [(2,)]


@pytest.mark.backends("sqlite", "postgresql+psycopg2")
def test_nothing_is_given_up_for_its_age_or_the_attempts_it_took(
    make_handler: MakeHandler, log: logging.Logger, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R42: three hundred failures, and by the clock of the queue an outage of a week."""
    for name in ("_FIRST_PAUSE_SECONDS", "_LONGEST_PAUSE_SECONDS"):
        monkeypatch.setattr(worker, name, 0.001)
    with stand_before(url) as stand:
        handler = make_handler(stand.url, engine_options=stand.engine_options, flush_interval=0.001)
        call(log, 0)
        assert handler.flush()
        stand.down()
        monkeypatch.setattr(contents, "monotonic", lambda: monotonic() + WEEK_SECONDS)
        for number in range(1, 200):
            call(log, number)
        wait_until(lambda: handler.stats().retries >= 300 or handler.stats().pending < 199, 120)
        assert handler.stats().oldest_age >= WEEK_SECONDS
        assert handler.stats().pending == 199
        stand.up()
        assert handler.flush() is True
    stats = handler.stats()
    assert (stats.committed, stats.dropped, stats.dead_lettered) == (200, 0, 0)
    assert numbers_stored(url) == list(range(200))


class Sent:
    """What goes through an engine: the operations of each statement and each transaction, and its texts' length."""

    def __init__(self) -> None:
        self.statements: list[int] = []
        self.transactions: list[tuple[int, int]] = []
        self._operations = self._characters = 0

    def begin(self, connection: sa.Connection) -> None:
        self._operations = self._characters = 0

    def before_cursor_execute(self, _connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        inserted = re.match(r"INSERT INTO \W?(llm_operations|llm_messages)\b", statement)
        if inserted is None:
            return
        # A driver gets a list of rows, or the columns of all rows in one mapping.
        rows = parameters if isinstance(parameters, list) else [parameters]
        values = [value for row in rows for value in (row.values() if isinstance(row, dict) else row)]
        self._characters += sum(len(value) for value in values if isinstance(value, str) and len(value) >= 1_000)
        if inserted[1] == "llm_operations":
            self.statements.append(values.count("the model"))
            self._operations += self.statements[-1]

    def commit(self, connection: sa.Connection) -> None:
        self.transactions.append((self._operations, self._characters))


@ONE_OF_EACH
@pytest.mark.parametrize("records", [10_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_a_backlog_is_drained_in_bounded_statements_and_transactions(
    records: int, make_handler: MakeHandler, log: logging.Logger, url: str
) -> None:
    """R43: bounded by rows, and where texts are long by bytes."""
    with stand_before(url) as stand:
        options = {"engine_options": stand.engine_options, "queue_size": records, "queue_bytes": 2**30}
        # The rows of a statement are counted by its parameters, of which a faster insert has one.
        handler: SQLLogHandler = make_handler(stand.url, batch_size=500, accelerate=False, **options)
        call(log, records)
        assert handler.flush()
        sent = Sent()
        with listening(url, begin=sent.begin, before_cursor_execute=sent.before_cursor_execute, commit=sent.commit):
            stand.down()
            for number in range(records):
                text = "x" * (4_000 if number % 1_000 < 300 else 10)
                log.info("call", extra={"model": "the model", "input_tokens": number, "response": text})
            wait_until(lambda: handler.stats().retries > 0)
            assert handler.stats().pending == records
            stand.up()
            assert handler.flush(200) is True
    operations, characters = zip(*sent.transactions, strict=True)
    assert sum(sent.statements) == sum(operations) == records
    assert max(sent.statements) <= 500
    assert max(operations) == 500
    assert 2**19 < max(characters) <= Limits().batch_bytes
    assert numbers_stored(url) == list(range(records + 1))


def test_first_retries_are_spread_and_leave_the_applications_random_numbers_alone() -> None:
    """R43: processes that lost the same database at one moment, each having seeded, do not come back at one moment."""
    state = random.getstate()
    pauses: list[float] = []
    try:
        for _ in range(5):
            random.seed(0)
            expected = random.random()
            random.seed(0)
            sink = TestSink()
            sink.faults = [OSError("away")]
            retrying = Line(sink, choose_pause=None)
            pauses.append(retrying.worker.pause_seconds(1))
            retrying.put(1, 1)
            assert retrying.stop(30)
            assert retrying.counts().retries == 1
            assert random.random() == expected
    finally:
        random.setstate(state)
    assert len(set(pauses)) == 5
