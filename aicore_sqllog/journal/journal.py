"""
A journal of one destination: records on disk until they are settled, whoever logged them.

Each process writes to segments of its own. Those of owners that are gone are taken over by whoever asks first.
"""

import hashlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from aicore_sqllog.journal.log_format import Damage
from aicore_sqllog.journal.segment import Segment, segments_of

__all__ = ["Journal", "Kept", "default_journal_folder", "folder_name"]

_SEGMENT_BYTES = 16 * 1024**2
_SEGMENTS = 8
"""Into at least so many parts the bytes that the journal may take are divided."""

_AGAIN_SECONDS = 1.0
"""After a failure the disk is left alone for so long."""

_LOCK_SECONDS = 0.05


class Kept(NamedTuple):
    """A record that was taken over, and where it stands; it is to be settled."""

    record: bytes
    segment: Segment


def default_journal_folder() -> Path:
    """Return the folder in the user's state directory."""
    import platformdirs

    return Path(platformdirs.user_state_dir("aicore_sqllog", appauthor=False)) / "journal"


def folder_name(destination: str) -> str:
    """Return the name of the folder for *destination*: what tells it from all others, without a secret."""
    return hashlib.sha256(destination.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class Journal:
    """
    Keeps records, each by one write, until they are settled. Nothing here raises for what a disk does.

    Args:
        folder: That of the destination; it is made when it is needed.

        max_bytes: How much the folder may hold. What several processes add at once may go past it by a segment each.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._segment_bytes = min(_SEGMENT_BYTES, max(1, max_bytes // _SEGMENTS))
        # Re-entrant, because a signal handler may log while this very thread holds it.
        self._lock = threading.RLock()
        self._is_inside = False
        self._active: Segment | None = None
        self._ours: set[Segment] = set()
        self._again_at = 0.0
        self.fault: str | None = None
        """Why records are not kept just now."""
        self.refused = 0
        """How many records could not be kept."""
        self.damaged = 0
        """How many damaged places were met in what was taken over."""

    def append(self, record: bytes) -> Segment | None:
        """Keep *record*; return where, which is to be settled; None where it could not be kept."""
        if not self._lock.acquire(timeout=0 if sys.is_finalizing() else _LOCK_SECONDS):
            self.refused += 1
            return None
        is_outermost = not self._is_inside
        try:
            self._is_inside = True
            segment = self._segment_for(len(record)) if is_outermost else self._aside()
            segment.append(record)
            segment.unsettled += 1
            self.fault = None
            return segment
        except OSError as exc:
            self._note_fault(str(exc.strerror or exc))
            return None
        except BaseException:  # Ctrl-C in the middle: nobody knows what the file holds
            self._leave_active()
            raise
        finally:
            self._is_inside = not is_outermost
            self._lock.release()

    def settle(self, segment: Segment) -> None:
        """Note that a record in *segment* is needed no longer."""
        with self._lock:
            segment.unsettled -= 1
            self._remove_if_settled(segment)

    def take_over(self) -> Iterator[Kept]:
        """Yield the records of owners that are gone, oldest first; a block of a file at a time is in memory."""
        own = {segment.path for segment in self._ours}
        for path in segments_of(self.folder):
            if path not in own and (segment := Segment.take_over(path)) is not None:
                with self._lock:
                    self._ours.add(segment)
                yield from self._read(segment)

    def release(self) -> None:
        """Remove what is settled, and leave the rest to others."""
        with self._lock:
            self._leave_active()
            for segment in list(self._ours):
                self._ours.discard(segment)
                segment.close()

    def forget(self) -> None:
        """In a forked child: leave all files to the parent."""
        self._lock = threading.RLock()
        self._is_inside, self._active = False, None
        for segment in self._ours:
            segment.close()
        self._ours = set()

    def _read(self, segment: Segment) -> Iterator[Kept]:
        try:
            for found in segment.read():
                if isinstance(found, Damage):
                    self.damaged += 1
                    continue
                with self._lock:
                    segment.unsettled += 1
                yield Kept(found, segment)
        except OSError as exc:
            self._note_fault(str(exc.strerror or exc))
            return  # it stays ours, and is left to others with the process
        with self._lock:
            segment.is_complete = True
            self._remove_if_settled(segment)

    def _segment_for(self, size: int) -> Segment:
        active = self._active
        if active is not None and (not active.bytes or active.bytes + size <= self._segment_bytes):
            return active
        self._leave_active()
        self._active = self._create(size)
        return self._active

    def _aside(self) -> Segment:
        """Return a segment for one record, because this thread was interrupted while it wrote to the active one."""
        segment = self._create(0)
        segment.is_complete = True
        return segment

    def _create(self, size: int) -> Segment:
        if monotonic() < self._again_at:
            raise OSError(self.fault or "the journal is full")
        held = sum(path.stat().st_size for path in segments_of(self.folder))
        if held + max(size, self._segment_bytes) > self._max_bytes:
            raise OSError(f"the journal is full: it holds {held} bytes and may take {self._max_bytes}")
        segment = Segment.create(self.folder)
        self._ours.add(segment)
        return segment

    def _leave_active(self) -> None:
        segment, self._active = self._active, None
        if segment is not None:
            segment.is_complete = True
            self._remove_if_settled(segment)

    def _remove_if_settled(self, segment: Segment) -> None:
        if segment.is_complete and segment.unsettled <= 0 and segment in self._ours:
            self._ours.discard(segment)
            segment.remove()

    def _note_fault(self, what: str) -> None:
        self.refused += 1
        if monotonic() >= self._again_at:
            self._again_at = monotonic() + _AGAIN_SECONDS
        self.fault = what
        self._leave_active()
