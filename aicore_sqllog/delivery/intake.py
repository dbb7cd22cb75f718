"""
The door of a queue: items come in without waiting for a lock, are numbered, and pay the policy where it is full.

Whoever logs leaves an item at the door, and takes in what stands there if the lock is free. If it is not, its
holder takes it in on the way out. So no log call waits for another thread, and one from a signal handler or
a destructor, on the very thread that holds the lock, does not either. Imports only the standard library
and what lies beside it.
"""

import contextlib
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from aicore_sqllog.delivery.books import LIGHTENED, Books, Losses
from aicore_sqllog.delivery.limits import Limits
from aicore_sqllog.delivery.queue import BoundedQueue

__all__ = ["Intake"]

T = TypeVar("T")

_CROWD = 100
_LARGE_BYTES = 64 * 1024
_CROWD_SECONDS = 0.05
"""More items at the door than that, or a large one, wait so long for a thread that the system took from its core
inside the lock: what stands at the door is in no bound."""

_ROUNDS = 3
"""How often a thread that leaves the lock takes in what came meanwhile, before it leaves that to another."""


class Intake(Generic[T]):
    """
    The lock, and what it guards: the queue, the books and the losses.

    Args:
        limits: How much may wait, and what happens past that.

        queue: Empty.

        on_accepted: Called inside the lock when an item was put into the queue.

        on_dropped: Called inside the lock with the number of an item that was dropped.
    """

    def __init__(
        self,
        limits: Limits,
        queue: BoundedQueue[T],
        *,
        on_accepted: Callable[[], None],
        on_dropped: Callable[[int], None],
    ) -> None:
        self._limits = limits
        self._on_accepted = on_accepted
        self._on_dropped = on_dropped
        self._door: deque[tuple[T, int, float, str | None]] = deque()
        # Re-entrant, for a flush may be asked for by a signal handler while this very thread holds it.
        self._lock = threading.RLock()
        self._owner = 0
        self._room = threading.Condition(self._lock)
        self._blocked = 0
        """How many threads wait for room."""
        self.queue = queue
        self.books = Books()
        self.losses = Losses()

    def put(self, item: T, size: int) -> None:
        """Accept *item* of *size* bytes. Waits only under the policy ``block``, and only where there is no room."""
        refused = self._await_room(size) if self._limits.overflow == "block" else None
        self._door.append((item, size, time.monotonic(), refused))
        is_crowd = size > _LARGE_BYTES or len(self._door) > _CROWD
        self._take_in_if_free(_CROWD_SECONDS if is_crowd else 0)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock: for a few instructions, with all taken in that came before."""
        with self._lock:
            is_outermost = self._owner != threading.get_ident()
            self._owner = threading.get_ident()
            try:
                if is_outermost:
                    self._take_in()
                yield
            finally:
                if is_outermost:
                    self._owner = 0
        if is_outermost:
            self._take_in_if_free()

    def wait(self, condition: threading.Condition, timeout: float | None) -> None:
        """Wait inside the lock, which is free meanwhile."""
        self._owner = 0
        try:
            condition.wait(timeout)
        finally:
            self._owner = threading.get_ident()
        self._take_in()

    def condition(self) -> threading.Condition:
        """Return a condition on the lock."""
        return threading.Condition(self._lock)

    def make_room_known(self) -> None:
        """Inside the lock: let those go on who wait for room."""
        self._room.notify_all()

    def _take_in_if_free(self, seconds: float = 0) -> None:
        for _ in range(_ROUNDS):
            if not self._door or self._owner == threading.get_ident() or not self._lock.acquire(timeout=seconds):
                return  # nothing there, or its holder will do it
            self._owner = threading.get_ident()
            try:
                self._take_in()
            finally:
                self._owner = 0
                self._lock.release()

    def _take_in(self) -> None:
        for _ in range(len(self._door)):  # what comes from now on is for the next round
            self._admit(*self._door.popleft())

    def _admit(self, item: T, size: int, accepted_at: float, refused: str | None) -> None:
        refused = self._make_room(size, refused)
        self.books.accepted += 1
        number = self.books.accepted
        if refused is None:
            self.queue.put(number, size, accepted_at, item)
            self._on_accepted()
        else:
            self._drop(number, size, refused)

    def _make_room(self, size: int, refused: str | None) -> str | None:
        """Apply the policy; return why the new item must be dropped, or None where it is taken."""
        queue, policy = self.queue, self._limits.overflow
        if not queue.is_full_for(size):
            return None
        if policy == "block" and refused is None:
            return None  # there was room when it was asked for: a few may be too many
        # What the items are about goes before the items themselves.
        self.losses.note(LIGHTENED, queue.lighten_for(size))
        if policy == "drop_oldest":
            while queue.is_full_for(size):
                oldest = queue.pop()
                self._drop(oldest.number, oldest.size, "queue_full")
        return (refused or "queue_full") if queue.is_full_for(size) else None

    def _drop(self, number: int, size: int, reason: str) -> None:
        self.books.dropped[reason] += 1
        self.losses.note(reason, 1, size)
        self._on_dropped(number)

    def _await_room(self, size: int) -> str | None:
        """Wait until there is room; return why there will be none, or None."""
        # Who comes later waits behind those who wait already: room would never be left for these. Those at the door
        # will be in the queue, and may be as large.
        coming = len(self._door) + 1
        is_full = self._blocked or self.queue.is_full_for(coming * size, coming)
        if not is_full or self._owner == threading.get_ident():
            return None
        if _is_on_event_loop():
            return "event_loop"
        give_up_at = time.monotonic() + self._limits.block_seconds
        with self.locked():
            self._blocked += 1
            try:
                while self.queue.is_full_for(size):
                    left = give_up_at - time.monotonic()
                    if left <= 0:
                        return "queue_full"
                    self.wait(self._room, left)
            finally:
                self._blocked -= 1
        return None


def _is_on_event_loop() -> bool:
    asyncio = sys.modules.get("asyncio")  # not imported: then there is no loop
    return asyncio is not None and asyncio._get_running_loop() is not None
