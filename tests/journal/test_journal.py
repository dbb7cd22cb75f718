"""Journals on a real disk: who owns a segment, when it goes, and what a full or vanished disk does."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from aicore_sqllog.journal.journal import Journal
from aicore_sqllog.journal.segment import segments_of
from tests.conftest import ROOT

MIB = 1024**2


def held(journal: Journal) -> list[bytes]:
    return [kept.record for kept in journal.take_over()]


def test_what_an_owner_leaves_is_taken_over_once_and_in_order(tmp_path: Path) -> None:
    owner, other, third = (Journal(tmp_path / "j", MIB) for _ in range(3))
    records = [b"%d" % number for number in range(100)]
    for record in records:
        assert owner.append(record) is not None
    assert held(other) == []  # its owner lives
    owner.release()
    taken = list(other.take_over())
    assert [kept.record for kept in taken] == records
    assert held(third) == []
    for kept in taken:
        assert len(segments_of(tmp_path / "j")) == 1
        other.settle(kept.segment)
    assert segments_of(tmp_path / "j") == []


def test_what_is_settled_is_not_taken_over(tmp_path: Path) -> None:
    owner = Journal(tmp_path, MIB)
    for _ in range(10):
        segment = owner.append(b"x")
        assert segment is not None
        owner.settle(segment)
    owner.release()
    assert segments_of(tmp_path) == []


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", MIB)
    journal.append(b"secret")
    (path,) = segments_of(tmp_path / "j")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_it_is_bounded_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    journal = Journal(tmp_path, MIB)
    kept = [journal.append(b"x" * 10_000) for _ in range(200)]
    segments = [segment for segment in kept if segment is not None]
    assert sum(path.stat().st_size for path in segments_of(tmp_path)) <= MIB
    assert 80 < len(segments) < 105
    assert journal.refused == 200 - len(segments)
    assert "full" in (journal.fault or "")
    for segment in segments:
        journal.settle(segment)
    assert segments_of(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_told_and_raises_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / "file" / "j", MIB)
    assert journal.append(b"x") is None
    assert journal.refused == 1
    assert journal.fault


KILLED = """
import os, sys
from pathlib import Path
from aicore_sqllog.journal.journal import Journal
journal = Journal(Path(sys.argv[1]), 10_000_000)
number = 0
while True:
    assert journal.append(b"%d" % number) is not None
    os.write(1, b"%d\\n" % number)
    number += 1
"""


def test_what_was_appended_before_a_kill_is_there(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as child:
        assert child.stdout is not None
        for _ in range(200):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        told = 200 + len(child.stdout.read().splitlines())
    found = held(Journal(tmp_path, MIB))
    assert found[:told] == [b"%d" % number for number in range(told)]
    assert told <= len(found) <= told + 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_forked_child_leaves_the_parents_segments_to_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path, MIB)
    journal.append(b"parent")
    child = os.fork()
    if not child:
        journal.forget()
        journal.append(b"child")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert held(journal) == [b"child"]
    journal.release()
    assert sorted(held(Journal(tmp_path, MIB))) == [b"child", b"parent"]
