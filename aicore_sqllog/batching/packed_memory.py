"""
Bytes that leave in the order in which they came, in one piece of memory that is given back when they have left.

The C allocator keeps most of what a queue's many pieces give back, because there is always one between them that is
still used: a process would stay as large as in its worst hour. Imports only the standard library.
"""

import contextlib
import mmap
from collections import deque
from typing import NamedTuple

__all__ = ["PackedMemory", "Span"]

_RELEASED_AT_ONCE = 2 * 1024**2
"""Bytes that have left before their memory is given back: each time costs a call of the system."""


class Span(NamedTuple):
    """Where in the memory some bytes are."""

    start: int
    end: int


class PackedMemory:
    """
    Holds bytes in *capacity* bytes of memory; the system gives each page when it is first used.

    Where there is no such memory to be had, nothing fits.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._memory: mmap.mmap | None = None
        self._is_unavailable = False
        self._spans: deque[Span] = deque()
        self._released_to = 0
        self._touched_to = 0

    def put(self, data: bytes) -> Span | None:
        """Copy *data* behind the newest; return where it is, or None if there is no room for it in one piece."""
        memory = self._memory or self._map()
        start = self._room_for(len(data))
        if memory is None or start is None:
            return None
        span = Span(start, start + len(data))
        memory[span.start : span.end] = data
        self._spans.append(span)
        self._touched_to = max(self._touched_to, span.end)
        return span

    def pop(self, span: Span) -> bytes:
        """Remove and return the oldest, which is *span*."""
        assert self._memory is not None
        data = self._memory[span.start : span.end]
        self._spans.popleft()
        self._release()
        return data

    def _map(self) -> mmap.mmap | None:
        if not self._is_unavailable:
            # Private: a forked child must not write into the memory of its parent. Windows knows no such flags.
            flags = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
            try:
                self._memory = mmap.mmap(-1, self._capacity, **flags)
            except (OSError, ValueError, OverflowError):  # a limit on the process, or more than there are addresses
                self._is_unavailable = True
        return self._memory

    def _room_for(self, length: int) -> int | None:
        """Return where *length* bytes go: behind the newest, or at the start where the end is too near."""
        if not self._spans:
            return 0 if length <= self._capacity else None
        oldest, newest_end = self._spans[0].start, self._spans[-1].end
        if newest_end <= oldest:
            return newest_end if newest_end + length <= oldest else None
        if newest_end + length <= self._capacity:
            return newest_end
        return 0 if length <= oldest else None

    def _release(self) -> None:
        """Give back the memory of what has left, where it is much."""
        if not self._spans:
            self._give_back(_RELEASED_AT_ONCE, self._touched_to)
            self._touched_to = self._released_to = 0
            return
        oldest, newest_end = self._spans[0].start, self._spans[-1].end
        if oldest < self._released_to:  # it went round the end, so the newest is before that
            self._give_back(max(self._released_to, newest_end), self._capacity)
            self._released_to = 0
        if oldest - self._released_to >= _RELEASED_AT_ONCE:
            in_use_to = newest_end if newest_end <= oldest else 0
            self._give_back(max(self._released_to, in_use_to), oldest)
            self._released_to = oldest

    def _give_back(self, start: int, end: int) -> None:
        start = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
        length = end // mmap.PAGESIZE * mmap.PAGESIZE - start
        if length > 0 and self._memory is not None and hasattr(mmap, "MADV_DONTNEED"):
            with contextlib.suppress(OSError):
                self._memory.madvise(mmap.MADV_DONTNEED, start, length)
