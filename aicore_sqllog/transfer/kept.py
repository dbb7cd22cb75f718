"""
What is kept on disk because no database has taken it: dead letters, and records that wait in a journal. Only reads.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from aicore_sqllog.errors import TransferError
from aicore_sqllog.journal.dead_letters import DeadLetter, default_folder, read_what_can_be
from aicore_sqllog.journal.journal import default_journal_folder
from aicore_sqllog.journal.log_format import Damage
from aicore_sqllog.journal.segment import SUFFIX, read_segment
from aicore_sqllog.record.call_record import CallRecord
from aicore_sqllog.record.codec import UnreadableRecordError, decode

__all__ = ["Waiting", "files_of", "is_journal", "read_kept"]

_DEAD_LETTERS = ".jsonl"


class Waiting(NamedTuple):
    """A record in a journal, which the next handler with its destination stores."""

    record: CallRecord | None
    """None where it is kept as it was logged, and not yet as a call record."""


def files_of(paths: Sequence[Path]) -> list[Path]:
    """
    Return the files at *paths*, where a folder stands for all in it; where none is given, those of our own folders.

    Raises:
        TransferError: If one that is named is not there.
    """
    found: list[Path] = []
    for path in paths or [default_folder(), default_journal_folder()]:
        if path.is_dir():
            found.extend(sorted(file for file in path.rglob("*") if file.suffix in (SUFFIX, _DEAD_LETTERS)))
        elif path.exists():
            found.append(path)
        elif paths:
            raise TransferError(f"There is no {path}: give a file or a folder of dead letters or of a journal.")
    return found


def is_journal(path: Path) -> bool:
    """Whether the file at *path* is one of a journal, and not of dead letters."""
    return path.suffix == SUFFIX


def read_kept(path: Path) -> Iterator[DeadLetter | Waiting | UnreadableRecordError]:
    """Yield what the file at *path* holds, in order; of what is damaged the error that says where."""
    if not is_journal(path):
        yield from read_what_can_be(path)
        return
    for found in read_segment(path):
        if isinstance(found, Damage):
            yield UnreadableRecordError(f"{found.bytes} bytes at {found.offset} of {path}: {found.reason}")
            continue
        try:
            yield Waiting(decode(found))
        except UnreadableRecordError:
            yield Waiting(None)
