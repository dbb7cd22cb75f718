"""More than fits, and log calls from odd places: what goes first, what is told, and that nobody hangs."""

import gc
import itertools
import logging
import signal
import socket
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aicore_sqllog import SQLLogHandler, polars_from_db
from aicore_sqllog.batching.buffer import Buffer
from aicore_sqllog.delivery.sink import RecordSink
from tests.conftest import REPORT, MakeHandler
from tests.support.handlers import set_limit
from tests.support.processes import run_python, wait_until
from tests.support.servers import ONE_OF_EACH, execute
from tests.support.statements import Gate, held_before_statements

CALL = {"provider": "p", "model": "m"}
TEXT = "x" * 2_000


@pytest.fixture
def gate(url: str) -> Iterator[Gate]:
    with held_before_statements(url) as gate:
        yield gate


def reach(gate: Gate, handler: SQLLogHandler, log: logging.Logger) -> None:
    """Have the thread of *handler* wait at *gate* with one record."""
    log.info("in flight", extra={**CALL, "input_tokens": 0, "response": "whole"})
    handler.flush(0)
    assert gate.reached.wait(30)


@ONE_OF_EACH
@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest"])
def test_messages_go_before_the_tokens_and_the_cost(
    overflow: str, make_handler: MakeHandler, log: logging.Logger, url: str, gate: Gate
) -> None:
    handler = make_handler(queue_bytes=100_000, overflow=overflow)
    reach(gate, handler, log)
    for number in range(1, 101):
        log.info("call", extra={**CALL, "input_tokens": number, "cost": 0.5, "response": TEXT})
    assert handler.stats().dropped == 0, "all are still there"
    gate.open()
    assert handler.flush() is True

    rows = polars_from_db(url, order_by="operation_id", decode_json=True).rows(named=True)
    assert [row["input_tokens"] for row in rows] == list(range(101))
    assert {row["cost"] for row in rows[1:]} == {0.5}
    light = [row["input_tokens"] for row in rows if "note" in row["extras"]["sqllog"]]
    assert 0 < len(light) < 100
    assert light == list(range(1, len(light) + 1)), "the oldest first"
    assert execute(url, "select count(*) from llm_messages") == [(101 - len(light),)]
    assert execute(url, "select reason, count from llm_log_losses") == [("content", len(light))]


@ONE_OF_EACH
@pytest.mark.parametrize(
    ("overflow", "kept"),
    [("drop_oldest", [0, *range(91, 101)]), ("drop_newest", list(range(11))), ("block", list(range(11)))],
)
def test_past_the_bound_each_policy_keeps_what_it_says_and_tells_the_rest(
    overflow: str,
    kept: list[int],
    make_handler: MakeHandler,
    log: logging.Logger,
    url: str,
    gate: Gate,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """R28: counted, said once, and stored as a loss when the database is back."""
    handler = make_handler(queue_size=10, overflow=overflow)
    set_limit(handler, block_seconds=0.001)
    reach(gate, handler, log)
    for number in range(1, 101):
        log.info("call", extra={**CALL, "input_tokens": number})
    gate.open()
    assert handler.flush() is False, "records were dropped"
    log.info("after", extra={**CALL, "input_tokens": 1000})
    assert handler.flush() is True

    stats = handler.stats()
    assert (stats.accepted, stats.committed, stats.dropped_by_reason) == (102, 12, {"queue_full": 90})
    stored = [number for (number,) in execute(url, "select input_tokens from llm_operations order by operation_id")]
    assert stored == [*kept, 1000]
    assert execute(url, "select reason, sum(count) from llm_log_losses group by reason") == [("queue_full", 90)]
    assert capfd.readouterr().err.count("90 records were dropped") == 1


@pytest.mark.parametrize("drops", [100_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_a_storm_of_drops_is_told_in_two_lines_at_most(
    drops: int,
    make_handler: MakeHandler,
    log: logging.Logger,
    path: Path,
    gate: Gate,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """R27."""
    handler = make_handler(queue_size=10, overflow="drop_newest")
    reach(gate, handler, log)
    record = log.makeRecord(log.name, logging.INFO, "", 0, "call", (), None, None, CALL)
    started = time.monotonic()
    for _ in range(drops + 10):
        handler.emit(record)
    seconds = time.monotonic() - started
    gate.open()
    handler.flush()
    assert handler.stats().dropped_by_reason == {"queue_full": drops}
    ((count, first_at, last_at),) = execute(f"sqlite:///{path}", "select count, first_at, last_at from llm_log_losses")
    assert count == drops
    assert first_at < last_at
    said = capfd.readouterr().err.splitlines()
    assert len(said) <= 2
    assert f"{drops} records were dropped" in said[0]
    REPORT.append(f"{drops:,} drops: {seconds:.1f} s, {len(said)} lines on stderr")


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger at DEBUG, and SQLAlchemy's too; both are put back."""
    loggers = [logging.getLogger(), logging.getLogger("sqlalchemy")]
    before = [(logger.level, list(logger.handlers)) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    yield loggers[0]
    for logger, (level, handlers) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        for handler in set(logger.handlers) - set(handlers):
            logger.removeHandler(handler)
            handler.close()


@ONE_OF_EACH
def test_our_own_libraries_at_debug_feed_nothing_back(url: str, root: logging.Logger) -> None:
    """R15: a faulty table for a while in the middle; rows equal records."""
    handler = SQLLogHandler(url, flush_interval=0.01, shutdown_timeout=60, engine_options={"echo": "debug"})
    root.addHandler(handler)
    for number in range(5_000):
        root.info("call", extra={**CALL, "input_tokens": number})
    assert handler.flush()
    execute(url, "alter table llm_operations rename to elsewhere")
    for number in range(5_000, 10_000):
        root.info("call", extra={**CALL, "input_tokens": number})
    wait_until(lambda: handler.stats().retries > 0)
    execute(url, "alter table elsewhere rename to llm_operations")
    assert handler.flush()
    stats = handler.stats()
    assert (stats.accepted, stats.committed, stats.dropped) == (10_000, 10_000, 0)
    assert execute(url, "select count(distinct input_tokens), count(*) from llm_operations") == [(10_000, 10_000)]


@ONE_OF_EACH
def test_shutdown_with_records_waiting_and_everything_at_debug_does_not_hang(url: str, tmp_path: Path) -> None:
    """R13."""
    script = """
import logging, logging.config, sys, time
from aicore_sqllog import SQLLogHandler
for name in ("", "sqlalchemy"): logging.getLogger(name).setLevel(logging.DEBUG)
handler = SQLLogHandler(sys.argv[1], flush_interval=3600, shutdown_timeout=30)
logging.getLogger().addHandler(handler)
for end in (logging.shutdown, lambda: logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})):
    for _ in range(1000): logging.info("call", extra={"provider": "p", "model": "m"})
    started = time.monotonic()
    end()
    assert time.monotonic() - started < 10
    assert handler.flush()
"""
    (tmp_path / "script.py").write_text(script)
    done = run_python("script.py", url, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert execute(url, "select count(*) from llm_operations") == [(2000,)]


@ONE_OF_EACH
def test_destructors_that_log_wherever_the_collector_runs(
    make_handler: MakeHandler, log: logging.Logger, url: str
) -> None:
    """R16: the garbage collector is made to run after nearly every allocation, on both threads."""

    class Logs:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            log.info("destroyed", extra={**CALL, "model": "destroyed"})
            warnings.warn("unclosed", ResourceWarning, stacklevel=2)

    handler = make_handler(batch_size=10)
    before = gc.get_threshold()
    logging.captureWarnings(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            gc.set_threshold(3, 2, 2)
            for _ in range(300):
                Logs()
                log.info("call", extra=CALL)
                if not handler.stats().pending % 50:
                    handler.flush()
            gc.set_threshold(*before)
            gc.collect()
    finally:
        gc.set_threshold(*before)
        logging.captureWarnings(False)
    assert handler.flush()
    assert execute(url, "select model, count(*) from llm_operations group by model order by model") == [
        ("destroyed", 300),
        ("m", 300),
    ]


@pytest.mark.parametrize("records", [20_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_a_signal_handler_that_logs_while_its_thread_logs(
    records: int, make_handler: MakeHandler, log: logging.Logger, path: Path
) -> None:
    """R17: a signal that logs every half millisecond."""
    handler = make_handler(queue_size=1_000_000, queue_bytes=1024**3, flush_interval=0.01)
    record = log.makeRecord(log.name, logging.INFO, "", 0, "call", (), None, None, CALL)
    odd = log.makeRecord(log.name, logging.INFO, "", 0, "signal", (), None, None, {**CALL, "model": "signal"})
    heard = 0

    def on_alarm(number: int, frame: object) -> None:
        nonlocal heard
        heard += 1
        handler.handle(odd)

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        for _ in range(records):
            handler.handle(record)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert handler.flush(200)
    assert heard > 100
    stored = execute(f"sqlite:///{path}", "select model, count(*) from llm_operations group by model")
    assert dict(stored) == {"m": records, "signal": heard}


def test_after_close_and_reopening_faults_are_met_as_before(
    make_handler: MakeHandler, log: logging.Logger, path: Path
) -> None:
    """R12."""
    url = f"sqlite:///{path}"
    handler = make_handler()
    log.info("call", extra=CALL)
    handler.close()
    execute(url, "alter table llm_operations rename to elsewhere")
    log.info("call", extra=CALL)
    assert handler.flush(0.3) is False
    assert handler.stats().retries >= 1
    execute(url, "alter table elsewhere rename to llm_operations")
    assert handler.flush() is True
    assert handler.stats().committed == 2


@pytest.mark.parametrize(
    "fault", [SystemExit, KeyboardInterrupt, GeneratorExit, MemoryError, RecursionError, ValueError]
)
def test_any_exception_of_what_the_threads_loop_calls_is_outlived(
    fault: type[BaseException],
    make_handler: MakeHandler,
    log: logging.Logger,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """R32, R09: each part of the loop raises three times before it does its work."""
    handler = make_handler(flush_interval=0.001)

    def raising(act: Callable[..., Any]) -> Callable[..., Any]:
        calls = itertools.count()

        def raise_or_act(*arguments: Any, **named: Any) -> Any:
            if next(calls) < 3:
                raise fault
            return act(*arguments, **named)

        return raise_or_act

    for part in ("prepare", "write", "write_losses", "failed", "settled", "close"):
        monkeypatch.setattr(RecordSink, part, raising(getattr(RecordSink, part)))
    for part in ("next_batch", "settle", "note_retry"):
        monkeypatch.setattr(Buffer, part, raising(getattr(Buffer, part)))
    for _ in range(60):
        log.info("call", extra=CALL)
    assert handler.flush(40)
    handler.close()
    assert handler.stats().committed + handler.stats().duplicate == 60
    assert execute(f"sqlite:///{path}", "select count(*) from llm_operations") == [(60,)]


BLACK_HOLE = """
import logging, sys, time
from aicore_sqllog import SQLLogHandler
log = logging.getLogger("app"); log.setLevel("INFO"); log.propagate = False
handler = SQLLogHandler(sys.argv[1], shutdown_timeout=float(sys.argv[2]))
log.addHandler(handler)
for number in range(10_000): log.info("call", extra={"provider": "p", "model": "m", "response": "text"})
stats = handler.stats()
print(stats.pending, stats.accepted, time.time(), flush=True)
sys.exit(4)
"""


@pytest.mark.parametrize("backend", ["postgresql+psycopg2", "postgresql+psycopg", "mysql+pymysql"])
@pytest.mark.parametrize("timeout", [0.5, 2.0])
def test_a_database_that_never_answers_delays_the_exit_by_the_timeout(
    backend: str, timeout: float, tmp_path: Path
) -> None:
    """R08: ten thousand records wait; the process ends with its own code, and says what was not stored."""
    (tmp_path / "script.py").write_text(BLACK_HOLE)
    with socket.create_server(("127.0.0.1", 0)) as hole:
        url = f"{backend}://u:secret@127.0.0.1:{hole.getsockname()[1]}/d"
        done = run_python("script.py", url, str(timeout), cwd=tmp_path)
        ended_at = time.time()
    pending, accepted, exit_began_at = done.stdout.split()
    seconds = ended_at - float(exit_began_at)
    assert (done.returncode, pending, accepted) == (4, "10000", "10000")
    assert timeout <= seconds < timeout + 5
    assert "10000 records could not be stored" in done.stderr.splitlines()[-1]
    assert "secret" not in done.stderr
    REPORT.append(f"black hole, 10,000 records, {backend}: exit took {seconds:.2f} s with shutdown_timeout={timeout}")


@pytest.mark.slow
def test_one_database_that_is_away_leaves_the_other_handlers_their_time(tmp_path: Path) -> None:
    script = BLACK_HOLE.replace(
        "log.addHandler(handler)",
        "log.addHandler(handler); log.addHandler(SQLLogHandler('sqlite:///near.db', shutdown_timeout=60))",
    ).replace("10_000", "500")
    (tmp_path / "script.py").write_text(script)
    with socket.create_server(("127.0.0.1", 0)) as hole:
        url = f"postgresql+psycopg2://u:p@127.0.0.1:{hole.getsockname()[1]}/d"
        done = run_python("script.py", url, "2", cwd=tmp_path)
    assert done.returncode == 4
    assert execute(f"sqlite:///{tmp_path / 'near.db'}", "select count(*) from llm_operations") == [(500,)]
