"""What the database did not take is looked at, checked, taken out, and stored after all."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from aicore_sqllog import LogReader
from aicore_sqllog.cli import main
from aicore_sqllog.journal.dead_letters import DeadLetters, default_folder
from aicore_sqllog.journal.journal import Journal, default_journal_folder
from aicore_sqllog.record.codec import encode, from_document
from aicore_sqllog.storage.connection import resolve, show_url
from tests.support.records import records

Run = Callable[..., tuple[int, str, str]]

SECRET = "what nobody may read"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> tuple[int, str, str]:
        return main(["journal", *arguments]), *capsys.readouterr()

    return run


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A database that had refused five records."""
    store = f"sqlite:///{tmp_path / 'llm.db'}"
    kept = records(5, messages=[SECRET], extras={"note": SECRET}, error_message=SECRET, session_metadata={"a": SECRET})
    DeadLetters(show_url(resolve(store).url)).add(kept, "IntegrityError: refused")
    return store


def damage() -> Path:
    (path,) = default_folder().iterdir()
    with path.open("ab") as file:
        file.write(b'{"version": 1, "at"')
    return path


def test_inspect_shows_no_content_unless_asked(run: Run, store: str) -> None:
    code, out, err = run("inspect")
    assert (code, err) == (0, "")
    assert out.count("IntegrityError: refused") == 5
    rows = json.loads(run("inspect", "--json")[1])
    assert [row["model"] for row in rows] == ["m", None, "m", None, "m"]
    assert {row["message_count"] for row in rows} == {2}
    assert SECRET not in out + json.dumps(rows)
    assert run("inspect", "--content", "--json")[1].count(SECRET) >= 15


def test_verify_tells_what_cannot_be_read(run: Run, store: str) -> None:
    assert run("verify")[:2] == (0, "5 records can be read, 0 cannot, in 1 files\n")
    path = damage()
    code, out, _ = run("verify", str(path))
    assert code == 1
    assert f"line 6 of {path}" in out
    code, out, err = run("inspect", "--jsonl")
    assert (code, len(out.splitlines()), err.count("\n")) == (0, 5, 1)
    assert "line 6" in err


def test_nothing_kept_is_no_error(run: Run) -> None:
    assert run("inspect", "--json")[:2] == (0, "[]\n")
    assert run("verify")[:2] == (0, "0 records can be read, 0 cannot, in 0 files\n")
    assert run("export")[:2] == (0, "")
    assert run("replay", "--connection", "sqlite:///llm.db")[0] == 0
    assert run("verify", "none")[0] == 2


def test_replay_stores_each_once_and_removes_what_is_stored(run: Run, store: str) -> None:
    told = run("replay", "--connection", store)[:2]
    assert told == (
        0,
        "5 stored, 0 were there already, 0 refused again, 0 of other databases, 0 unreadable; 0 files removed\n",
    )
    assert run("replay", "--connection", store, "--remove")[1].startswith("0 stored, 5 were there already")
    assert list(default_folder().iterdir()) == []
    with LogReader(store) as reader:
        assert reader.count(content_contains=SECRET) == 5


def test_replay_keeps_what_is_not_stored(run: Run, store: str, tmp_path: Path) -> None:
    other = f"sqlite:///{tmp_path / 'other.db'}"
    assert run("replay", "--connection", other, "--remove")[:2] == (
        0, "0 stored, 0 were there already, 0 refused again, 5 of other databases, 0 unreadable; 0 files removed\n",
    )  # fmt: skip
    damage()
    code, out, _ = run("replay", "--connection", other, "--any-destination", "--remove")
    assert (code, out.split(";")[0][-12:], len(list(default_folder().iterdir()))) == (1, "1 unreadable", 1)
    code, _, err = run("replay", "--connection", "postgresql+psycopg2://u:secret@127.0.0.1:1/db", "--any-destination")
    assert (code, err.count("\n")) == (2, 1)
    assert "secret" not in err


def test_replay_to_a_database_that_refuses_again_keeps_the_letter(run: Run, store: str) -> None:
    assert main(["upgrade", "--connection", store]) == 0
    with closing(sqlite3.connect(resolve(store).sqlite_path)) as database:
        database.executescript(
            "CREATE TRIGGER refuse BEFORE INSERT ON llm_operations WHEN new.model IS NULL "
            "BEGIN SELECT RAISE(ABORT, 'no model'); END"
        )
    code, out, _ = run("replay", "--connection", store, "--remove")
    assert code == 1
    assert "3 stored, 0 were there already, 2 refused again" in out
    assert run("verify")[1] == "5 records can be read, 0 cannot, in 1 files\n", "nothing is kept twice"


def test_export_is_read_back(run: Run, store: str) -> None:
    lines = [json.loads(line) for line in run("export")[1].splitlines()]
    assert [from_document(line["record"]).messages[0].content for line in lines] == [SECRET] * 5
    out = run("export", "--no-content")[1]
    assert len(out.splitlines()) == 5
    assert SECRET not in out


def test_records_in_a_journal_are_inspected_verified_and_exported_too(run: Run, store: str) -> None:
    journal = Journal(default_journal_folder() / "destination", 1024**2)
    for record in records(3, messages=[SECRET]):
        assert journal.append(encode(record))
    assert journal.append(b"as it was logged")
    journal.release()
    rows = json.loads(run("inspect", "--json")[1])
    assert [row["reason"] for row in rows[5:]] == ["waits in the journal"] * 4
    assert [row["model"] for row in rows[5:]] == ["m", None, "m", None]
    assert SECRET not in json.dumps(rows)
    assert run("verify")[:2] == (0, "9 records can be read, 0 cannot, in 2 files\n")
    code, out, err = run("export")
    assert (code, len(out.splitlines()), err.count("\n")) == (0, 8, 1)
    assert run("replay", "--connection", store)[1].startswith("5 stored")
    (path,) = (default_journal_folder() / "destination").iterdir()
    content = bytearray(path.read_bytes())
    content[20] ^= 1
    path.write_bytes(content)
    code, out, _ = run("verify", str(default_journal_folder()))
    assert (code, out.splitlines()[-1]) == (1, "3 records can be read, 1 cannot, in 1 files")
