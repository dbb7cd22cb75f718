"""Records that a database refuses for ever: the others are stored, these kept with the reason, and all counted."""

import logging
import stat
from pathlib import Path

import pytest

from aicore_sqllog import SQLLogHandler
from aicore_sqllog.journal import dead_letters
from tests.conftest import REPORT, MakeHandler
from tests.support.poison import RECORDS, call, letters, make_refusing
from tests.support.servers import ONE_OF_EACH, execute
from tests.support.statements import statements_to


def test_the_good_are_stored_and_the_bad_are_kept_with_the_reason(
    make_handler: MakeHandler, log: logging.Logger, url: str, tmp_path: Path
) -> None:
    """R35."""
    handler = make_refusing(make_handler, log, url, accelerate=False)
    store_a_batch_with(1, handler, log, url, tmp_path)


@ONE_OF_EACH
@pytest.mark.long
def test_one_that_is_good_among_a_thousand_is_stored(
    make_handler: MakeHandler, log: logging.Logger, url: str, tmp_path: Path
) -> None:
    handler = make_refusing(make_handler, log, url, accelerate=False)
    store_a_batch_with(RECORDS - 1, handler, log, url, tmp_path)


def store_a_batch_with(bad: int, handler: SQLLogHandler, log: logging.Logger, url: str, tmp_path: Path) -> None:
    """Log a batch of which *bad* are refused, and check what becomes of each."""
    odd_one = 617
    numbers_of_bad = {number for number in range(RECORDS) if (number == odd_one) is (bad == 1)}
    with statements_to(url) as sent:
        for number in range(RECORDS):
            call(log, number, bad=number in numbers_of_bad)
        assert handler.flush(120) is False, "some are not stored"
    assert handler.flush() is True, "and that was said"

    stats = handler.stats()
    assert (stats.committed, stats.dead_lettered, stats.pending) == (RECORDS + 1 - bad, bad, 0)
    assert stats.dropped == stats.duplicate == stats.retries == 0
    stored = {number for (number,) in execute(url, "select input_tokens from llm_operations")}
    assert stored == set(range(RECORDS + 1)) - numbers_of_bad
    assert execute(url, "select count(*) from llm_messages") == [(len(stored),)]

    kept = letters(tmp_path)
    assert [letter["record"]["input_tokens"] for letter in kept] == sorted(numbers_of_bad), "each once, in order"
    assert {letter["record"]["provider"] for letter in kept} == {"bad"}
    assert all("refuse" in letter["reason"] and letter["at"] for letter in kept)
    assert sent
    inserts = sum("INSERT INTO llm_operations" in statement.replace("`", "") for statement in sent)
    assert inserts <= 2 * (2 * bad * 10 + 2)
    REPORT.append(
        f"poison {bad:>3} of {RECORDS} {url.partition(':')[0]:<20} stored {len(stored) - 1:>3}, "
        f"dead letters {len(kept):>3}, {len(sent):>5} statements, {inserts:>4} of them inserts of operations"
    )


@ONE_OF_EACH
def test_dead_letters_are_their_owners_alone(
    make_handler: MakeHandler, log: logging.Logger, url: str, tmp_path: Path
) -> None:
    handler = make_refusing(make_handler, log, url)
    call(log, 1, bad=True)
    handler.flush()
    folder = tmp_path / "state" / "aicore_sqllog" / "dead_letters"
    (file,) = folder.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@ONE_OF_EACH
@pytest.mark.parametrize("trouble", ["no folder can be made", "full"])
def test_what_cannot_be_kept_either_is_dropped_and_counted(
    trouble: str,
    make_handler: MakeHandler,
    log: logging.Logger,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    handler = make_refusing(make_handler, log, url)
    if trouble == "full":
        monkeypatch.setattr(dead_letters, "MAX_BYTES", 10)
    else:
        (tmp_path / "state").write_text("a file where the folder should be")  # root may write anywhere else
    for number in range(10):
        call(log, number, bad=number in (3, 4))
    assert handler.flush() is False
    stats = handler.stats()
    assert (stats.committed, stats.dropped_by_reason, stats.dead_lettered, stats.pending) == (
        9,
        {"unstorable": 2},
        0,
        0,
    )
    assert stats.accepted == stats.committed + stats.dropped
    assert execute(url, "select reason, count from llm_log_losses") == [("unstorable", 2)]
    assert "2 records were dropped" in capfd.readouterr().err


@pytest.mark.backends("postgresql+psycopg2", "mysql+pymysql")
def test_a_record_too_large_for_the_server_costs_itself_at_most(
    make_handler: MakeHandler, log: logging.Logger, url: str, tmp_path: Path
) -> None:
    """R36. PostgreSQL takes a gigabyte; MySQL and MariaDB get the text without its middle."""
    handler = make_handler()
    for number in range(10):
        log.info("call", extra={"provider": "p", "model": "m", "input_tokens": number, "response": "x"})
        if number == 5:
            log.info("call", extra={"provider": "p", "model": "large", "response": "é\n" * 12_000_000})
    assert handler.flush(120)
    assert execute(url, "select count(*) from llm_operations where model = 'm'") == [(10,)]
    ((size,),) = execute(url, "select length(content) from llm_messages where length(content) > 10")
    assert size > 1_000_000
    assert handler.stats().committed == 11
    assert letters(tmp_path) == []


@ONE_OF_EACH
def test_a_missing_table_costs_no_record(
    make_handler: MakeHandler, log: logging.Logger, url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """R50: what a person can put right is waited for, and said with its remedy."""
    handler = make_handler()
    call(log, 1, bad=False)
    assert handler.flush()
    execute(url, "alter table llm_messages rename to elsewhere")
    call(log, 2, bad=False)
    assert handler.flush(1) is False
    assert handler.stats().pending == 1
    assert "1 record is waiting" in capfd.readouterr().err
    execute(url, "alter table elsewhere rename to llm_messages")
    assert handler.flush(60) is True
    assert (handler.stats().committed, handler.stats().dead_lettered, letters(tmp_path)) == (2, 0, [])
