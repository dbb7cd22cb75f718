"""Reading a SQLite file leaves nothing behind, needs no right to write, and never mixes two states of the file."""

import asyncio
import logging
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from aicore_sqllog import AsyncLogReader, LogReader, SQLLogHandler
from aicore_sqllog.querying.count import count
from aicore_sqllog.querying.execute import execute
from aicore_sqllog.storage.connection import resolve
from aicore_sqllog.storage.dialects import sqlite_reading
from aicore_sqllog.storage.engines import reader_engine
from tests.conftest import MakeHandler

READ = """
import asyncio, os, sys
from aicore_sqllog import AsyncLogReader, LogReader
if os.geteuid() == 0:
    os.setgid(65534); os.setuid(65534)
url, times = sys.argv[1], int(sys.argv[2])
print("ready", flush=True)
found = []
for _ in range(times):
    with LogReader(url) as reader:
        found.append(reader.count())
        tokens = reader.operations(columns=["input_tokens"], order_by="input_tokens")["input_tokens"].to_list()
        assert tokens == list(range(len(tokens))), tokens
        found.append(len(tokens))
        found.append(asyncio.run(AsyncLogReader(url).count()))
assert found == sorted(found), found
print(found[-1])
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that others may look into."""
    found = Path(tempfile.mkdtemp(prefix="sqllog reading ä "))
    found.chmod(0o755)
    yield found
    found.chmod(0o755)
    shutil.rmtree(found)


def write(path: Path, first: int, last: int) -> SQLLogHandler:
    handler = SQLLogHandler(f"sqlite:///{path}", flush_interval=3600, shutdown_timeout=30)
    for number in range(first, last):
        handler.handle(logging.makeLogRecord({"llm": {"model": "m", "input_tokens": number}}))
    assert handler.flush(30)
    return handler


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@contextmanager
def read_only(folder: Path, *, folder_too: bool = True) -> Iterator[None]:
    """Let nobody but root write to the files in *folder*."""
    for path in folder.iterdir():
        path.chmod(0o444)
    folder.chmod(0o555 if folder_too else 0o777)
    yield
    folder.chmod(0o755)
    for path in folder.iterdir():
        path.chmod(stat.S_IRUSR | stat.S_IWUSR | stat.S_IROTH)


def read_as_another_user(path: Path, times: int = 1) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", READ, f"sqlite:///{path}", str(times)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/")


def answer(reader: "subprocess.Popen[str]") -> str:
    assert reader.stdout is not None
    assert reader.stderr is not None
    # Not communicate(), which loses what came together with a line that was read before.
    with reader.stdout, reader.stderr:
        out, err = reader.stdout.read(), reader.stderr.read()
    assert reader.wait(120) == 0, err
    assert err == ""
    return out.split()[-1]


def test_a_closed_log_is_read_and_left_as_it_was(folder: Path) -> None:
    path = folder / "llm.db"
    write(path, 0, 3).close()
    before = contents(folder)
    with LogReader(f"sqlite:///{path}") as reader:
        assert (reader.count(), reader.operations().height) == (3, 3)
        assert asyncio.run(AsyncLogReader(f"sqlite:///{path}").count()) == 3
    assert contents(folder) == before


def test_what_a_reader_is_asked_cannot_change_the_log(folder: Path) -> None:
    path = folder / "llm.db"
    write(path, 0, 3).close()
    engine = reader_engine(resolve(f"sqlite:///{path}"))
    with engine.connect() as connection, pytest.raises(sa.exc.OperationalError, match="readonly"):
        connection.exec_driver_sql("DELETE FROM llm_messages")
    engine.dispose()


@pytest.mark.parametrize("folder_too", [True, False], ids=["folder read-only", "files read-only"])
@pytest.mark.parametrize("left", ["nothing", "a wal", "a wal and its index", "a log without a wal"])
def test_a_log_is_read_where_nothing_may_be_written(left: str, folder_too: bool, folder: Path) -> None:
    path = folder / "llm.db"
    handler = write(path, 0, 3)
    if left == "a wal" or left == "a wal and its index":
        copies = ["llm.db", "llm.db-wal"] + (["llm.db-shm"] if "index" in left else [])
        (folder / "copy").mkdir()
        for name in copies:  # as kill -9 leaves them
            shutil.copy(folder / name, folder / "copy")
        path = folder / "copy" / "llm.db"
        assert (folder / "copy" / "llm.db-wal").stat().st_size > 0
    handler.close()
    if left == "a log without a wal":
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.close()
    before = contents(path.parent)
    with read_only(path.parent, folder_too=folder_too):
        assert answer(read_as_another_user(path)) == "3"
        assert contents(path.parent) == before


def test_a_link_leads_to_what_the_writer_keeps_beside_the_file(folder: Path) -> None:
    handler = write(folder / "llm.db", 0, 3)
    for link in (folder / "link.db", folder.with_name(folder.name + " link.db")):
        link.symlink_to(folder / "llm.db")
        with read_only(folder):
            assert answer(read_as_another_user(link)) == "3"
        link.unlink()
    handler.close()


def test_a_reader_without_rights_sees_what_a_living_writer_has_committed(folder: Path) -> None:
    path = folder / "llm.db"
    handler = write(path, 0, 3)
    with read_only(folder):
        assert answer(read_as_another_user(path)) == "3"
    handler.close()


@pytest.mark.slow
@pytest.mark.parametrize("folder_too", [True, False], ids=["another user", "the same user"])
def test_readers_race_writers_that_come_and_go(folder_too: bool, folder: Path) -> None:
    path = folder / "llm.db"
    write(path, 0, 1).close()
    for one in (path, *folder.iterdir()):
        one.chmod(0o644 if folder_too else 0o666)
    folder.chmod(0o755 if folder_too else 0o777)
    readers = [read_as_another_user(path, 12) for _ in range(2)]
    for reader in readers:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
    number = 1
    while any(reader.poll() is None for reader in readers) and number < 4000:
        write(path, number, number + 5).close()
        number += 5
    assert all(int(answer(reader)) >= 1 for reader in readers)


def test_what_was_read_without_locks_is_read_again_if_the_file_has_changed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "llm.db"
    write(path, 0, 3).close()
    monkeypatch.setattr(sqlite_reading, "_is_writable", lambda path: False)
    engine = reader_engine(resolve(f"sqlite:///{path}"))

    @contextmanager
    def connect() -> Iterator[sa.Connection]:
        with engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM llm_operations").scalar() == 3
            write(path, 3, 5).close()
            yield connection

    assert execute(count(), connect) == 5
    engine.dispose()


@pytest.mark.backends("sqlite")
def test_a_handler_and_its_reader_share_a_file_in_one_process(make_handler: MakeHandler, path: Path) -> None:
    handler = make_handler()
    for number in range(20):
        handler.handle(logging.makeLogRecord({"llm": {"input_tokens": number}}))
        assert handler.flush()
        with LogReader(f"sqlite:///{path}") as reader:
            assert reader.count() == number + 1
    assert os.path.exists(f"{path}-wal"), "the writer's file is the writer's"
