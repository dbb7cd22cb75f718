"""The handler as logging sees it: configuration, flush, close and reopen, what it never does."""

import asyncio
import contextlib
import gc
import json
import logging
import logging.config
import os
import stat
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest
import yaml

from aicore_sqllog import ConfigurationError, SQLLogHandler, polars_from_db
from tests.conftest import MakeHandler
from tests.support.processes import wait_until
from tests.support.servers import ONE_OF_EACH, execute, query

CALL = {"provider": "p", "model": "m"}


def test_flush_stores_what_was_logged_for_any_other_connection(
    make_handler: MakeHandler, log: logging.Logger, url: str
) -> None:
    handler = make_handler()
    for number in range(1200):
        log.info("call %d", number, extra={**CALL, "input_tokens": number, "response": "r"})
    assert handler.flush() is True
    assert execute(url, "select count(*), sum(input_tokens) from llm_operations") == [(1200, 1199 * 600)]
    assert execute(url, "select count(*) from llm_messages") == [(1200,)]
    assert execute(url, "select count(*) from llm_sessions") == [(1,)]
    stats = handler.stats()
    assert (stats.accepted, stats.committed, stats.pending, stats.dropped) == (1200, 1200, 0, 0)


def test_aflush_does_not_block_the_loop(make_handler: MakeHandler, log: logging.Logger, url: str) -> None:
    handler = make_handler()

    async def main() -> tuple[bool, int]:
        log.info("call", extra=CALL)
        flush = asyncio.ensure_future(handler.aflush())
        turns = 0
        while not flush.done():
            turns += 1
            await asyncio.sleep(0)
        return flush.result(), turns

    stored, turns = asyncio.run(main())
    assert stored is True
    assert turns > 1, "the loop went on while the thread wrote"
    assert execute(url, "select count(*) from llm_operations") == [(1,)]


@pytest.mark.backends("sqlite")
def test_ids_sort_in_the_order_of_the_calls(make_handler: MakeHandler, log: logging.Logger, url: str) -> None:
    handler = make_handler()
    for number in range(2000):
        log.info("call", extra={**CALL, "input_tokens": number})
    assert handler.flush()
    assert polars_from_db(url, order_by="operation_id")["input_tokens"].to_list() == list(range(2000))


def test_other_records_pass_by(make_handler: MakeHandler, log: logging.Logger, path: Path) -> None:
    handler = make_handler()
    log.info("plain")
    log.info("one key", extra={"model": "m"})
    assert handler.flush()
    assert (handler.stats().ignored, handler.stats().accepted) == (2, 0)
    assert not path.exists(), "nothing to store: nothing was made"


CONFIG: dict[str, Any] = {
    "version": 1,
    "handlers": {
        "llm": {
            "class": "aicore_sqllog.SQLLogHandler",
            "connection": "sqlite:///configured.db",
            "level": "INFO",
            "batch_size": 10,
            "flush_interval": 0.5,
            "queue_bytes": "1000000",
            "overflow": "drop_oldest",
            "workspace": "w",
            "session_id": None,
        }
    },
    "loggers": {"test.llm": {"handlers": ["llm"], "level": "DEBUG"}},
    "disable_existing_loggers": False,
}


@pytest.mark.parametrize(
    "load",
    [lambda: CONFIG, lambda: json.loads(json.dumps(CONFIG)), lambda: yaml.safe_load(yaml.safe_dump(CONFIG))],
    ids=["python", "json", "yaml"],
)
def test_dict_config(load: Any, log: logging.Logger, tmp_path: Path) -> None:
    logging.config.dictConfig(load())
    (handler,) = log.handlers
    assert isinstance(handler, SQLLogHandler)
    log.debug("too low", extra=CALL)
    log.info("call", extra=CALL)
    assert handler.flush()
    assert execute(f"sqlite:///{tmp_path / 'configured.db'}", "select workspace, model from llm_operations") == [
        ("w", "m")
    ]


def test_file_config(log: logging.Logger, tmp_path: Path) -> None:
    (tmp_path / "logging.ini").write_text(
        "[loggers]\nkeys=root,llm\n[handlers]\nkeys=llm\n[formatters]\nkeys=\n[logger_root]\nhandlers=\n"
        "[logger_llm]\nqualname=test.llm\nhandlers=llm\nlevel=INFO\n"
        "[handler_llm]\nclass=aicore_sqllog.SQLLogHandler\nargs=('sqlite:///from_ini.db',)\nkwargs={'batch_size': 3}\n"
    )
    logging.config.fileConfig(tmp_path / "logging.ini", disable_existing_loggers=False)
    log.info("call", extra=CALL)
    (handler,) = log.handlers
    handler.flush()
    assert execute(f"sqlite:///{tmp_path / 'from_ini.db'}", "select count(*) from llm_operations") == [(1,)]


@pytest.mark.backends("sqlite")
@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("batch_size", 0),
        ("batch_size", "many"),
        ("batch_size", 1.5),
        ("batch_size", True),
        ("queue_size", -1),
        ("queue_bytes", None),
        ("flush_interval", float("nan")),
        ("flush_interval", -1),
        ("shutdown_timeout", "soon"),
        ("overflow", "explode"),
        ("overflow", ["block"]),
        ("workspace", ["w"]),
        ("engine_options", ["pool_size"]),
        ("on_error", "no.such.module:name"),
        ("on_error", 5),
    ],
)
def test_an_impossible_option_is_refused_by_name_and_value(option: str, value: Any, url: str) -> None:
    with pytest.raises(ConfigurationError, match="Allowed") as caught:
        SQLLogHandler(url, **{option: value})
    shown = "<list>" if option == "engine_options" else repr(value)
    assert str(caught.value).startswith(f"{option}={shown}")


@pytest.mark.parametrize(
    "options",
    ['{"connect_args": {"password": "hunter2"}}', ["hunter2"], {1: "hunter2"}, b"password=hunter2"],
    ids=["text of a variable", "list", "keys that are no names", "bytes"],
)
def test_a_password_in_engine_options_is_not_shown(options: Any, url: str) -> None:
    with pytest.raises(ConfigurationError, match="engine_options") as caught:
        SQLLogHandler(url, engine_options=options)
    assert "hunter2" not in str(caught.value)


def test_dict_config_has_our_error_as_its_cause() -> None:
    bad = {**CONFIG, "handlers": {"llm": {**CONFIG["handlers"]["llm"], "overflow": "explode"}}}
    with pytest.raises(ValueError, match="llm") as caught:
        logging.config.dictConfig(bad)
    assert isinstance(caught.value.__cause__, ConfigurationError)


@pytest.mark.backends("sqlite")
def test_an_unknown_option_is_pythons_own_error(url: str) -> None:
    with pytest.raises(TypeError, match="journal"):
        SQLLogHandler(url, journal="off")  # type: ignore[call-arg]


@pytest.mark.parametrize("variable", ["CONNECTION_STRING", "ASYNC_CONNECTION_STRING"])
def test_a_variable_that_is_no_url_is_named_and_its_value_is_not(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "host=db password=hunter2")
    with pytest.raises(ConfigurationError, match=variable) as caught:
        SQLLogHandler()
    assert "hunter2" not in str(caught.value)


def test_no_part_of_a_password_with_an_at_sign_is_taken_for_the_host() -> None:
    with pytest.raises(ConfigurationError, match="%40") as caught:
        SQLLogHandler("postgresql://user:hun@ter2@db/log")
    assert "ter2" not in str(caught.value)


@pytest.mark.parametrize("memory", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"])
def test_sqlite_in_memory_is_refused_with_the_remedy(memory: str) -> None:
    with pytest.raises(ConfigurationError, match="Give a file"):
        SQLLogHandler(memory)


def test_nothing_happens_in_the_constructor(url: str, path: Path) -> None:
    before = threading.active_count()
    handler = SQLLogHandler("sqlite:////no/such/folder/llm.db")
    handler.close()
    assert threading.active_count() == before
    assert not path.exists()


def test_a_relative_path_is_made_absolute_at_once(
    log: logging.Logger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = SQLLogHandler("sqlite:///relative.db")
    log.addHandler(handler)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    log.info("call", extra=CALL)
    assert handler.flush()
    assert (tmp_path / "relative.db").exists()


def test_the_file_is_its_owners(make_handler: MakeHandler, log: logging.Logger, path: Path) -> None:
    old = os.umask(0)
    try:
        handler = make_handler()
        log.info("call", extra=CALL)
        assert handler.flush()
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.glob("llm.db*")}
    finally:
        os.umask(old)
    assert set(modes) == {"llm.db", "llm.db-wal", "llm.db-shm"}
    assert set(modes.values()) == {0o600}


@pytest.mark.backends("sqlite")
def test_a_closed_handler_opens_again(make_handler: MakeHandler, log: logging.Logger, url: str) -> None:
    before = set(threading.enumerate())
    handler = make_handler()
    log.info("one", extra=CALL)
    handler.close()
    assert set(threading.enumerate()) <= before
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
    log.info("two", extra=CALL)
    assert handler.flush()
    handler.close()
    assert execute(url, "select count(*) from llm_operations") == [(2,)]


def test_a_locked_database_delays_and_loses_nothing(
    make_handler: MakeHandler, log: logging.Logger, path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import sqlite3

    failures: list[int] = []
    handler = make_handler(
        engine_options={"connect_args": {"timeout": 0.05}}, on_error=lambda exc, count: failures.append(count)
    )
    log.info("makes the tables", extra=CALL)
    assert handler.flush()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    # while we wait for the lock, a log call does not
    log.info("secret prompt", extra={**CALL, "response": "secret prompt"})
    assert handler.flush(0.05) is False
    wait_until(lambda: bool(failures))
    other.execute("COMMIT")
    other.close()
    assert handler.flush()
    assert handler.stats().committed == 2
    assert "database is locked" in str(handler.stats().last_error)
    said = capfd.readouterr().err
    assert "secret" not in said
    assert "secret" not in repr(handler)


@pytest.mark.backends("sqlite")
def test_handle_takes_no_lock(make_handler: MakeHandler, log: logging.Logger) -> None:
    """``logging.shutdown`` and ``dictConfig`` hold the handler's lock while they flush."""
    handler = make_handler()
    done = threading.Event()

    def other() -> None:
        log.info("call", extra=CALL)
        done.set()

    handler.acquire()
    try:
        thread = threading.Thread(target=other)
        thread.start()
        assert done.wait(30)
        thread.join()
    finally:
        handler.release()
    assert handler.flush()


@ONE_OF_EACH
def test_records_of_its_own_thread_are_ignored(log: logging.Logger, url: str) -> None:
    """The engine echoes at DEBUG into the root logger, where the handler sits: nothing feeds on itself."""
    root = logging.getLogger()
    handler = SQLLogHandler(url, flush_interval=3600, shutdown_timeout=30)
    engine_log = logging.getLogger("sqlalchemy.engine")
    old = (root.level, engine_log.level)
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    engine_log.setLevel(logging.DEBUG)
    try:
        for _ in range(100):
            logging.getLogger("any").info("call", extra=CALL)
        assert handler.flush()
    finally:
        root.removeHandler(handler)
        root.setLevel(old[0])
        engine_log.setLevel(old[1])
        handler.close()
    assert handler.stats().ignored > 0
    assert execute(url, "select count(*) from llm_operations") == [(100,)]


def test_a_thread_that_gets_the_number_of_ours_is_heard(
    make_handler: MakeHandler, log: logging.Logger, path: Path
) -> None:
    """The system gives the number of a thread that ended to the next."""
    handler = make_handler()
    numbers = set()

    def call() -> None:
        numbers.add(threading.get_ident())
        log.info("call", extra={"provider": "p", "model": "m"})

    for _ in range(20):
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
        handler.close()
    assert len(numbers) < 20, "no number was given twice: nothing was shown"
    stats = handler.stats()
    assert (stats.accepted, stats.committed, stats.ignored) == (20, 20, 0)


@pytest.mark.backends("sqlite")
def test_no_fault_of_a_record_reaches_the_application(make_handler: MakeHandler, log: logging.Logger, url: str) -> None:
    class Hostile:
        def __repr__(self) -> str:
            raise RuntimeError

        __str__ = __repr__

    handler = make_handler()
    for message, args in ((Hostile(), ()), ("%d", ("no number",))):  # past pytest's own handlers, which refuse these
        handler.handle(log.makeRecord(log.name, logging.INFO, "", 0, message, args, None, None, CALL))
    log.info("x", extra={"llm": Hostile()})
    log.info("x", extra={"llm": {"messages": Hostile(), "cost": Hostile(), "session_id": Hostile()}})
    assert handler.flush()
    assert len(polars_from_db(url)) == 4


@ONE_OF_EACH
@pytest.mark.slow
def test_eight_threads_log_while_two_flush_and_the_books_balance(
    make_handler: MakeHandler, log: logging.Logger, url: str
) -> None:
    handler = make_handler()
    done = threading.Event()
    off: list[Any] = []

    def produce(number: int) -> None:
        for turn in range(2500):
            log.info("call", extra={**CALL, "input_tokens": turn, "session_id": f"s{number}"})

    def flush() -> None:
        while not done.is_set():
            handler.flush()
            stats = handler.stats()
            settled = stats.committed + stats.duplicate + stats.dead_lettered + stats.dropped + stats.pending
            if stats.accepted != settled:
                off.append(stats)

    flushers = [threading.Thread(target=flush) for _ in range(2)]
    producers = [threading.Thread(target=produce, args=(number,)) for number in range(8)]
    for thread in [*flushers, *producers]:
        thread.start()
    for thread in producers:
        thread.join()
    done.set()
    for thread in flushers:
        thread.join()
    assert handler.flush(60)
    assert off == []
    assert execute(url, "select count(*), count(distinct operation_id) from llm_operations") == [(20_000, 20_000)]
    assert execute(url, "select count(*) from llm_sessions") == [(8,)]


@ONE_OF_EACH
def test_a_fork_child_and_its_parent_both_go_on(make_handler: MakeHandler, log: logging.Logger, url: str) -> None:
    handler = make_handler()
    log.info("parent", extra=CALL)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            log.info("child", extra=CALL)
            status = 0 if handler.flush(30) and handler.stats().accepted == 1 else 2
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    log.info("parent", extra=CALL)
    assert handler.flush()
    assert execute(url, "select count(*), count(distinct session_id) from llm_operations") == [(3, 2)]


def test_handlers_that_are_dropped_are_stored_and_leave_neither_thread_nor_files(path: Path) -> None:
    """As a notebook's cell does when it is run again."""
    logger = logging.Logger("notebook")
    gone: list[weakref.ref[SQLLogHandler]] = []
    threads_before = set(threading.enumerate())
    for number in range(20):
        logger.handlers.clear()
        handler = SQLLogHandler(f"sqlite:///{path}", flush_interval=0.05 if number % 3 else 3600)
        logger.addHandler(handler)
        gone.append(weakref.ref(handler))
        logger.info("call", extra={"model": "m", "input_tokens": number})
        if number % 2:
            handler.flush()
        elif number % 3 == 0:
            handler.begin_flush()
    del handler
    logger.handlers.clear()

    def are_gone() -> bool:
        gc.collect()
        return not any(reference() for reference in gone)

    wait_until(are_gone)
    assert query(path, "select count(*) from llm_operations") == [(20,)], "one is gone when all of it is stored"
    wait_until(lambda: set(threading.enumerate()) <= threads_before)
    wait_until(lambda: not any(str(path) in target for target in open_files()))


class Application:
    """Has a handler, and the functions that the handler calls, as its methods."""

    def __init__(self, url: str) -> None:
        self.handler = SQLLogHandler(url, redact=self.redact, on_error=self.on_error, on_notice=self.on_notice)

    def redact(self, text: str) -> str:
        return text.replace("secret", "[gone]")

    def on_error(self, exc: Exception, count: int) -> None: ...

    def on_notice(self, reason: str, text: str) -> None: ...


@pytest.mark.parametrize("is_flushed", [True, False])
def test_a_handler_whose_callbacks_are_methods_of_who_holds_it_goes_too(
    url: str, path: Path, *, is_flushed: bool
) -> None:
    threads_before = set(threading.enumerate())
    application = Application(url)
    gone = weakref.ref(application.handler)
    application.handler.handle(logging.makeLogRecord({"llm": {"model": "m", "messages": "a secret"}}))
    if is_flushed:
        assert application.handler.flush(30)
    del application

    def is_gone() -> bool:
        gc.collect()
        return gone() is None

    wait_until(is_gone)
    wait_until(lambda: set(threading.enumerate()) <= threads_before)
    assert query(path, "select content from llm_messages") == [("a [gone]",)]


def open_files() -> set[str]:
    """Return the files that this process has open (Linux)."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.add(str(link.readlink()))
    return found
