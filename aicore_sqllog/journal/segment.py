"""
One file of a journal: made, locked and appended to by its owner, or taken over from an owner that is gone.

Its name sorts by time. It goes when everything in it is settled; until then an owner that ends leaves it to others.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from aicore_sqllog.journal.file_lock import try_lock
from aicore_sqllog.journal.log_format import Damage, frame, read_log

__all__ = ["SUFFIX", "Segment", "read_segment", "segments_of"]

SUFFIX = ".journal"
_ATTEMPTS = 10
_BINARY = getattr(os, "O_BINARY", 0)


class Segment:
    """
    An open file that is ours.

    Takes no lock of threads: its owner does.
    """

    def __init__(self, path: Path, file: int) -> None:
        self.path = path
        self._file = file
        self.bytes = os.fstat(file).st_size
        self.unsettled = 0
        """How many records in it are needed still."""
        self.is_complete = False
        """Whether nothing will be added to it, and nothing of it has yet to be read."""

    @classmethod
    def create(cls, folder: Path) -> Self:
        """Return a new one in *folder*, which is made where it is missing; raises ``OSError`` where that cannot be."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for attempt in range(_ATTEMPTS):
            path = folder / f"{time.time_ns():020d}-{os.getpid()}-{attempt}{SUFFIX}"
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | _BINARY, 0o600)
            # Between the two another may take it for one whose owner is gone, and remove it.
            if try_lock(file) and os.fstat(file).st_nlink:
                return cls(path, file)
            os.close(file)
        raise OSError(f"no file in {folder} could be locked")

    @classmethod
    def take_over(cls, path: Path) -> Self | None:
        """Return the file at *path* as ours, or None where its owner lives or it is gone."""
        try:
            file = os.open(path, os.O_RDWR | os.O_APPEND | _BINARY)
        except OSError:
            return None
        try:
            if try_lock(file) and os.fstat(file).st_nlink:
                return cls(path, file)
        except OSError:
            pass
        os.close(file)
        return None

    def append(self, record: bytes) -> None:
        """Add *record* by one write: all of it, or nothing; raises ``OSError``."""
        framed = frame(record, self.bytes)
        written = os.write(self._file, framed)
        if written != len(framed):
            os.ftruncate(self._file, self.bytes)
            raise OSError("the disk is full")
        self.bytes += written

    def read(self) -> Iterator[bytes | Damage]:
        """Yield what it holds; see :func:`~aicore_sqllog.journal.log_format.read_log`."""
        return read_segment(self.path)

    def remove(self) -> None:
        """Remove the file."""
        try:
            self.path.unlink(missing_ok=True)
            self.close()
        except OSError:  # Windows removes no file that is open
            self.close()
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Leave the file to whoever takes it; in a forked child, to the parent."""
        file, self._file = self._file, -1
        if file >= 0:
            with contextlib.suppress(OSError):
                os.close(file)


def read_segment(path: Path) -> Iterator[bytes | Damage]:
    """Yield the records of the file at *path* in order, and where it is damaged; its owner may be writing to it."""
    with path.open("rb") as file:
        yield from read_log(file)


def segments_of(folder: Path) -> list[Path]:
    """Return the files of the journal in *folder*, oldest first."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == SUFFIX)
    except OSError:
        return []
