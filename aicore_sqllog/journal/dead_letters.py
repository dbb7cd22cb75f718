"""
Records that no database will ever take, kept in files with the reason and the time, readable by their owner only.

One file a process, of JSON lines, each ``{"version", "at", "destination", "reason", "record"}``, where the version is
that of the record's layout; see :mod:`aicore_sqllog.record.codec`. The folder is bounded: a fault that goes on must not
fill the disk.
"""

import os
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import orjson

from aicore_sqllog.record.call_record import CallRecord
from aicore_sqllog.record.codec import VERSION, UnreadableRecordError, from_document, to_document

__all__ = ["DeadLetter", "DeadLetters", "default_folder", "read_dead_letters", "read_what_can_be"]

MAX_BYTES = 256 * 1024**2
"""How much the folder may hold; past that a record that cannot be stored is dropped, and counted as that."""


def default_folder() -> Path:
    """Return the folder in the user's state directory."""
    import platformdirs

    return Path(platformdirs.user_state_dir("aicore_sqllog", appauthor=False)) / "dead_letters"


class DeadLetter(NamedTuple):
    """A record that was refused: when, by which database and why."""

    at: datetime
    destination: str
    reason: str
    record: CallRecord


def read_dead_letters(path: Path) -> Iterator[DeadLetter]:
    """
    Yield the dead letters of the file at *path*, of every version, in order.

    Raises:
        UnreadableRecordError: If a line is of a later version, or damaged; the message tells which.
    """
    for found in read_what_can_be(path):
        if isinstance(found, UnreadableRecordError):
            raise found
        yield found


def read_what_can_be(path: Path) -> Iterator[DeadLetter | UnreadableRecordError]:
    """Yield the dead letters of the file at *path*, in order; of a line that cannot be read the error that says why."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield _read_line(line)
            except (ValueError, KeyError, TypeError) as exc:
                yield UnreadableRecordError(f"line {number} of {path}: {exc}")


class DeadLetters:
    """
    Keeps records with the reason why they were refused.

    Args:
        destination: The database that refused them, as it may be shown.

        folder: Where; it is made when it is needed.
    """

    def __init__(self, destination: str, folder: Path | None = None) -> None:
        self._destination = destination
        self._folder = folder
        self._path: Path | None = None

    def add(self, records: Sequence[CallRecord], reason: str) -> int:
        """Keep *records*; return how many were kept: none where the folder is full or cannot be written to."""
        now = datetime.now(UTC).isoformat()
        head = {"version": VERSION, "at": now, "destination": self._destination, "reason": reason}
        lines = b"".join(
            orjson.dumps({**head, "record": to_document(record)}, option=orjson.OPT_APPEND_NEWLINE)
            for record in records
        )
        try:
            path = self._ready_path()
            if _size_of(path.parent) + len(lines) > MAX_BYTES:
                return 0
            _append(path, lines)
        except OSError:
            return 0
        return len(records)

    def _ready_path(self) -> Path:
        if self._path is None or f"-{os.getpid()}." not in self._path.name:
            folder = self._folder or default_folder()
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path = folder / f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}.jsonl"
        return self._path


def _read_line(line: bytes) -> DeadLetter:
    found = orjson.loads(line)
    if found["version"] != VERSION:
        raise UnreadableRecordError(f"version {found['version']} is not known: this is {VERSION}")
    record = from_document(found["record"])
    return DeadLetter(datetime.fromisoformat(found["at"]), found["destination"], found["reason"], record)


def _append(path: Path, lines: bytes) -> None:
    """Append *lines*: all of them, or none, for half a line would make the next one unreadable too."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        size = os.fstat(file).st_size
        try:
            written = 0
            while written < len(lines):
                written += os.write(file, lines[written:])
            os.fsync(file)
        except OSError:
            os.ftruncate(file, size)
            raise
    finally:
        os.close(file)


def _size_of(folder: Path) -> int:
    return sum(entry.stat().st_size for entry in os.scandir(folder))
