"""A batch that the database refuses for several reasons at once: each record gets what it deserves, and it ends."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from aicore_sqllog import SQLLogHandler, polars_from_db
from aicore_sqllog.batching.counts import Loss, Outcome
from aicore_sqllog.storage.connection import resolve
from aicore_sqllog.storage.dialects import mysql
from aicore_sqllog.writing.rows import operation_values
from aicore_sqllog.writing.triage import NotWritten
from aicore_sqllog.writing.writer import Writer
from tests.conftest import ROOT, MakeHandler
from tests.support.poison import call, letters, make_refusing
from tests.support.processes import run_python, wait_until
from tests.support.records import counts, records
from tests.support.servers import ONE_OF_EACH, execute
from tests.support.stands import stand_before

REFUSE_LARGE = {
    "sqlite": "CREATE TRIGGER large BEFORE INSERT ON llm_operations WHEN new.provider = 'large' "
    "BEGIN SELECT zeroblob(2000000000); END",
    "postgresql": "CREATE FUNCTION large() RETURNS trigger AS $$ BEGIN IF new.provider = 'large' THEN "
    "RAISE 'too large' USING ERRCODE = '54000'; END IF; RETURN new; END $$ LANGUAGE plpgsql; "
    "CREATE TRIGGER large BEFORE INSERT ON llm_operations FOR EACH ROW EXECUTE FUNCTION large()",
    "mysql": "CREATE TRIGGER large BEFORE INSERT ON llm_operations FOR EACH ROW IF new.provider = 'large' "
    "THEN SIGNAL SQLSTATE '08S01' SET MYSQL_ERRNO = 1153, MESSAGE_TEXT = 'too large'; END IF",
}
"""What the server itself would say of a statement that is too large for it."""


@ONE_OF_EACH
@pytest.mark.parametrize("kinds", ["bad large", "large bad", "large large bad bad", "bad good large good bad large"])
def test_refused_and_too_large_records_in_one_batch_keep_nobody_waiting(
    kinds: str, make_handler: MakeHandler, log: logging.Logger, url: str, tmp_path: Path
) -> None:
    handler = make_refusing(make_handler, log, url)
    execute(url, REFUSE_LARGE[sa.make_url(url).get_backend_name()])
    providers = ["good", *kinds.split(), "good", "good"]
    for number, provider in enumerate(providers):
        log.info("call", extra={"provider": provider, "model": "m", "input_tokens": number, "response": "text"})
    assert handler.flush(60) is False
    stats, good = handler.stats(), providers.count("good")
    assert (stats.committed, stats.dead_lettered, stats.pending) == (1 + good, len(providers) - good, 0)
    assert execute(url, "select count(*) from llm_operations where provider = 'good'") == [(1 + good,)]
    kept = sorted((letter["record"]["input_tokens"], letter["record"]["provider"]) for letter in letters(tmp_path))
    assert kept == [(number, provider) for number, provider in enumerate(providers) if provider != "good"]


@ONE_OF_EACH
def test_a_dead_letter_is_written_once_though_its_batch_is_tried_again(
    make_handler: MakeHandler, log: logging.Logger, url: str, tmp_path: Path
) -> None:
    """The server goes away when the record too large was found, and before all others were stored."""
    with stand_before(url) as stand:
        writer = Writer(resolve(stand.url), stand.engine_options)
        writer.write(records(1), 1)
        execute(url, REFUSE_LARGE[sa.make_url(url).get_backend_name()])
        batch = [*records(1, provider="large"), *records(3)]
        stand.cut_at_commit("before")
        with pytest.raises(NotWritten):
            writer.write(batch, 1)
        assert letters(tmp_path) == []
        assert writer.write(batch, 2) == (3, 0, 1, 0, 0)
        writer.close()
    assert [letter["record"]["provider"] for letter in letters(tmp_path)] == ["large"]
    assert counts(url)[1] == 4


REFUSE_BAD = {
    "sqlite": "CREATE TRIGGER bad BEFORE INSERT ON llm_operations WHEN new.provider = 'bad' "
    "BEGIN SELECT RAISE(ROLLBACK, 'undone with its savepoints'); END",
    "postgresql": "CREATE FUNCTION bad() RETURNS trigger AS $$ BEGIN IF new.provider = 'bad' THEN "
    "RAISE EXCEPTION 'no'; END IF; RETURN new; END $$ LANGUAGE plpgsql; "
    "CREATE TRIGGER bad BEFORE INSERT ON llm_operations FOR EACH ROW EXECUTE FUNCTION bad()",
    "mysql": "CREATE TRIGGER bad BEFORE INSERT ON llm_operations FOR EACH ROW IF new.provider = 'bad' "
    "THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'; END IF",
}
"""A trigger of the owner's refuses in the ordinary way."""


@ONE_OF_EACH
def test_what_a_trigger_of_the_owner_refuses_goes_to_the_dead_letters(
    make_handler: MakeHandler, log: logging.Logger, url: str, tmp_path: Path
) -> None:
    handler = make_handler()
    call(log, 1, bad=False)
    assert handler.flush()
    execute(url, REFUSE_BAD[sa.make_url(url).get_backend_name()])
    for number in range(6):
        call(log, number, bad=number == 3)
    assert handler.flush(60) is False
    stats = handler.stats()
    assert (stats.committed, stats.dead_lettered, stats.pending) == (6, 1, 0)
    assert [letter["record"]["input_tokens"] for letter in letters(tmp_path)] == [3]


@pytest.mark.parametrize("fault", [ValueError, KeyError, RuntimeError])
@pytest.mark.backends("postgresql+psycopg2", "mysql+pymysql")
def test_an_error_met_on_connecting_is_no_records_fault(
    fault: type[Exception], log: logging.Logger, url: str, tmp_path: Path
) -> None:
    """Such as that of a service which gives passwords for some minutes, and is away."""
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    is_away = False

    @sa.event.listens_for(engine, "do_connect")
    def ask_for_password(*_: Any) -> None:
        if is_away:
            raise fault("503")

    handler = SQLLogHandler(engine, flush_interval=3600, shutdown_timeout=30)
    log.addHandler(handler)
    call(log, 1, bad=False)
    assert handler.flush()
    is_away = True
    call(log, 2, bad=False)
    wait_until(lambda: handler.flush(0.01) is False and handler.stats().retries > 5)
    is_away = False
    assert handler.flush() is True
    assert (handler.stats().committed, letters(tmp_path)) == (2, [])
    engine.dispose()


@pytest.mark.backends("mysql+pymysql")
def test_a_table_that_is_locked_for_long_makes_no_record_too_large(
    make_handler: MakeHandler, log: logging.Logger, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        mysql._SESSION, "lock_wait_timeout", 3600
    )  # so that our own time-out ends the connection, as it would
    handler = make_handler(engine_options={"connect_args": {"read_timeout": 1}})
    call(log, 1, bad=False)
    assert handler.flush()
    locker = sa.create_engine(url)
    with locker.connect() as connection:
        connection.exec_driver_sql("LOCK TABLES llm_operations WRITE, llm_sessions WRITE, llm_messages WRITE")
        call(log, 2, bad=False)
        wait_until(lambda: handler.flush(0.5) is False and handler.stats().retries > 7, 60)
        connection.exec_driver_sql("UNLOCK TABLES")
    locker.dispose()
    assert handler.flush(60) is True
    assert (handler.stats().committed, handler.stats().dead_lettered, letters(tmp_path)) == (2, 0, [])


@ONE_OF_EACH
def test_losses_are_stored_once_alone_or_with_a_batch_and_delay_no_record(url: str) -> None:
    writer = Writer(resolve(url), migrate="off")
    made = Writer(resolve(url))
    made.write(records(1), 1)
    made.close()
    losses, later = [Loss.now("queue_full", 3, 100), Loss.now("unstorable", 1)], Loss.now("queue_full", 5)
    for attempt in (1, 2):
        assert writer.write([], attempt, losses) == Outcome(0)
    assert writer.write(records(2), 1, [later, losses[0]]) == Outcome(2)
    told = "select reason, sum(count), sum(bytes) from llm_log_losses group by reason order by reason"
    assert execute(url, told) == [("queue_full", 8, 100), ("unstorable", 1, 0)]

    execute(url, "alter table llm_log_losses rename to elsewhere")
    batch = records(1)
    with pytest.raises(NotWritten, match="llm_log_losses"):
        writer.write(batch, 1, losses)
    assert counts(url)[1] == 3, "nothing is settled"
    assert writer.write(batch, 2) == Outcome(1)
    writer.close()


@ONE_OF_EACH
def test_losses_that_come_with_a_refused_record_are_stored(url: str) -> None:
    writer = Writer(resolve(url))
    writer.write(records(1), 1)
    execute(url, REFUSE_BAD[sa.make_url(url).get_backend_name()])
    batch = [*records(3), *records(1, provider="bad")]
    assert writer.write(batch, 1, [Loss.now("queue_full", 3, 100)]) == Outcome(3, dead_lettered=1)
    assert execute(url, "select reason, count from llm_log_losses") == [("queue_full", 3)]
    writer.close()


def test_half_a_dead_letter_is_none_and_spoils_no_other(tmp_path: Path) -> None:
    """The disk becomes full in the middle of a line, and has room again later."""
    script = """
import pathlib, resource, signal
from aicore_sqllog.journal.dead_letters import DeadLetters
from tests.support.records import records
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder = pathlib.Path("letters")
letters, batch = DeadLetters("x", folder), records(3)
kept = [letters.add(batch[:1], "r")]
(file,) = folder.iterdir()
resource.setrlimit(resource.RLIMIT_FSIZE, (int(file.stat().st_size * 1.5), resource.RLIM_INFINITY))
kept.append(letters.add(batch[1:2], "r"))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
kept.append(letters.add(batch[2:], "r"))
print(kept)
"""
    (tmp_path / "script.py").write_text(script)
    done = run_python("script.py", cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert (done.returncode, done.stdout) == (0, "[1, 0, 1]\n"), done.stderr
    (file,) = (tmp_path / "letters").iterdir()
    assert [json.loads(line)["version"] for line in file.read_text().splitlines()] == [1, 1]


@ONE_OF_EACH
def test_an_error_that_nobody_thought_of_costs_its_record_and_not_the_log(
    make_handler: MakeHandler, log: logging.Logger, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(record: Any, *arguments: Any) -> Any:
        if record.input_tokens == 5:
            raise LookupError("nobody thought of this")
        return operation_values(record, *arguments)

    handler = make_handler()
    call(log, 100, bad=False)
    assert handler.flush()
    monkeypatch.setattr("aicore_sqllog.writing.insert.operation_values", fail)
    for number in range(10):
        call(log, number, bad=False)
    assert handler.flush(60) is False
    stats = handler.stats()
    assert (stats.committed, stats.dead_lettered, stats.pending) == (10, 1, 0)
    (letter,) = letters(tmp_path)
    assert letter["record"]["input_tokens"] == 5
    assert "nobody thought of this" in letter["reason"]


@ONE_OF_EACH
def test_tables_that_are_dropped_while_we_write_are_made_again(
    make_handler: MakeHandler, log: logging.Logger, url: str
) -> None:
    handler = make_handler()
    call(log, 1, bad=False)
    assert handler.flush()
    for table in ("llm_messages", "llm_operations", "llm_sessions", "llm_log_losses", "aicore_sqllog_version"):
        execute(url, f"drop table {table}")
    call(log, 2, bad=False)
    assert handler.flush(60) is True
    assert polars_from_db(url)["input_tokens"].to_list() == [2]


def test_a_file_that_is_removed_or_replaced_while_we_write_is_made_again(
    make_handler: MakeHandler, log: logging.Logger, url: str, path: Path
) -> None:
    """What is written into a file that has no name any more, nobody would ever find."""
    handler = make_handler()
    call(log, 1, bad=False)
    assert handler.flush()
    for file in path.parent.glob("llm.db*"):
        file.unlink()
    call(log, 2, bad=False)
    assert handler.flush(60) is True
    assert polars_from_db(url)["input_tokens"].to_list() == [2]
    assert path.stat().st_mode & 0o077 == 0, "the new one holds prompts too"
    assert handler.stats().retries == 0


def test_a_callback_is_not_shown_what_was_said(
    make_handler: MakeHandler, log: logging.Logger, url: str, path: Path
) -> None:
    """Of an engine that is lent, and that would show the parameters in its errors."""
    seen: list[str] = []
    engine = sa.create_engine(url)
    handler = make_handler(engine, on_error=lambda exc, count: seen.append(f"{exc!r} {exc} {exc.__cause__}"))
    log.info("call", extra={"provider": "p", "model": "m", "response": "a secret"})
    assert handler.flush()
    execute(url, "alter table llm_messages rename to elsewhere")
    log.info("call", extra={"provider": "p", "model": "m", "response": "a secret"})
    assert handler.flush(0.2) is False
    wait_until(lambda: bool(seen))
    assert "no such table" in seen[0]
    assert "secret" not in "".join(seen)
    execute(url, "alter table elsewhere rename to llm_messages")
    assert handler.flush() is True
    handler.close()
    engine.dispose()


def test_what_a_person_must_do_is_told_at_once_though_an_outage_was_told_just_before(
    make_handler: MakeHandler, log: logging.Logger, url: str, path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    handler = make_handler(engine_options={"connect_args": {"timeout": 0.01}})
    call(log, 1, bad=False)
    assert handler.flush()
    with sa.create_engine(url).connect() as connection:
        connection.exec_driver_sql("begin immediate")
        call(log, 2, bad=False)
        wait_until(lambda: handler.flush(0.01) is False and handler.stats().retries > 4)
        connection.exec_driver_sql("alter table llm_messages rename to elsewhere")
        connection.exec_driver_sql("commit")
    wait_until(lambda: handler.flush(0.01) is False and "no such table" in (handler.stats().last_error or ""))
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 2
    assert "locked" in said[0]
    assert "no such table" in said[1]
    assert "aicore-sqllog upgrade" in said[1]
    execute(url, "alter table elsewhere rename to llm_messages")
    assert handler.flush() is True


def test_a_script_whose_last_record_is_refused_says_so(tmp_path: Path) -> None:
    script = """
import logging, sqlite3
from aicore_sqllog import SQLLogHandler
log = logging.getLogger("app"); log.setLevel("INFO")
handler = SQLLogHandler("sqlite:///llm.db", flush_interval=3600)
log.addHandler(handler)
def call(provider): log.info("call", extra={"provider": provider, "model": "m"})
call("good")
handler.flush()
connection = sqlite3.connect("llm.db")
connection.execute("create trigger t before insert on llm_operations when new.provider = 'bad' "
                   "begin select raise(abort, 'refused'); end")
connection.commit()
connection.close()
call("bad")
"""
    (tmp_path / "script.py").write_text(script)
    done = run_python("script.py", cwd=tmp_path)
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert "1 record was refused by the database" in line
    assert len(letters(tmp_path)) == 1
