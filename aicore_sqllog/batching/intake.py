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
from typing import Generic, NamedTuple, TypeVar

from aicore_sqllog.batching.counts import LIGHTENED, Books, Losses
from aicore_sqllog.batching.limits import Limits
from aicore_sqllog.batching.queue import BoundedQueue
from aicore_sqllog.batching.wakeup import Bell

__all__ = ["Intake"]

T = TypeVar("T")

_LARGE_SHARE = 16
"""An item is large that takes more than this part of the queue."""

_CROWD = 100
_LARGE_BYTES = 64 * 1024
_CROWD_SECONDS = 0.05
"""More items at the door than that, or a large one, wait so long for a thread that the system took from its core
inside the lock: what stands at the door is in no bound."""

_ROUNDS = 3
"""How often a thread that leaves the lock takes in what came meanwhile, before it leaves that to another."""


class _Arrival(NamedTuple, Generic[T]):
    """An item at the door; ``refused`` says why there will be no room for it."""

    item: T
    size: int
    accepted_at: float
    refused: str | None


class Intake(Generic[T]):
    """
    The lock, and what it guards: the queue, the books and the losses.

    Args:
        limits: How much may wait, and what happens past that.

        queue: Empty.

        bell: Wakes the worker, where it must look after the queue.

        need_writer: Called inside the lock when an item came, or waits for room.

        on_accepted: Called inside the lock when an item was put into the queue.

        on_dropped: Called inside the lock with the number of an item that was dropped.

        count_in_flight: Returns how many items were taken out of the queue and are not settled.
    """

    def __init__(
        self,
        limits: Limits,
        queue: BoundedQueue[T],
        bell: Bell,
        *,
        need_writer: Callable[[], None],
        on_accepted: Callable[[], None],
        on_dropped: Callable[[int], None],
        count_in_flight: Callable[[], int],
    ) -> None:
        self._limits = limits
        self._bell = bell
        self._need_writer = need_writer
        self._on_accepted = on_accepted
        self._on_dropped = on_dropped
        self._count_in_flight = count_in_flight
        self._door: deque[_Arrival[T]] = deque()
        self._newest: _Arrival[T] | None = None
        """The one that was taken in last; it may still stand at the door, where a Ctrl-C came between."""
        # Re-entrant, for a flush may be asked for by a signal handler while this very thread holds it.
        self._lock = threading.RLock()
        self._room = threading.Condition(self._lock)
        self.blocked = 0
        """How many threads wait for room."""
        self.queue = queue
        self.books = Books()
        self.losses = Losses()

    def put(self, item: T, size: int) -> None:
        """Accept *item* of *size* bytes. Waits only under the policy ``block``, and only where there is no room."""
        refused = self._await_room(size) if self._limits.overflow == "block" else None
        self._door.append(_Arrival(item, size, time.monotonic(), refused))
        is_crowd = size > _LARGE_BYTES or len(self._door) > _CROWD
        try:
            self._take_in_if_free(_CROWD_SECONDS if is_crowd else 0)
        except Exception:  # such as no memory: it stands at the door, and whoever comes next tries again
            self._bell.ring()

    def refuse(self, reason: str) -> None:
        """Count an item that could not even be put."""
        with self.locked():
            self.books.accepted += 1
            self._drop(self.books.accepted, 0, reason)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock: for a few instructions, with all taken in that came before."""
        is_outermost = not self.is_inside()
        with self._lock:
            if is_outermost:
                self._take_in()
            yield
        if is_outermost:
            self._take_in_if_free()

    def wait(self, condition: threading.Condition, timeout: float | None) -> None:
        """Wait inside the lock, which is free meanwhile."""
        condition.wait(timeout)
        self._take_in()

    def condition(self) -> threading.Condition:
        """Return a condition on the lock."""
        return threading.Condition(self._lock)

    def make_room_known(self) -> None:
        """Inside the lock: let those go on who wait for room."""
        self._room.notify_all()

    def is_inside(self) -> bool:
        """Whether this very thread holds the lock: a signal handler or a destructor interrupted it there."""
        return self._lock._is_owned()  # type: ignore[attr-defined,no-any-return]  # as threading.Condition asks it

    def _take_in_if_free(self, seconds: float = 0) -> None:
        for _ in range(_ROUNDS):
            if not self._door or self.is_inside():
                return
            try:
                if not self._lock.acquire(timeout=seconds):
                    return  # its holder will do it
                self._take_in()
            finally:
                # Asked, not remembered, and twice, and by no function of Python's: a Ctrl-C may come between any two.
                try:
                    if self._lock._is_owned():  # type: ignore[attr-defined]
                        self._lock.release()
                finally:
                    if self._lock._is_owned():  # type: ignore[attr-defined]
                        self._lock.release()
        self._bell.ring()  # the rest is for the worker

    def _take_in(self) -> None:
        for _ in range(len(self._door)):  # what comes from now on is for the next round
            arrival = self._door[0]
            if arrival is not self._newest:
                number = self.books.accepted + 1
                try:
                    self._admit(arrival, number)
                except BaseException:  # Ctrl-C, or another exception of a signal handler
                    self._recount(arrival, number)
                    raise
            self._door.popleft()
            self._newest = None

    def _admit(self, arrival: _Arrival[T], number: int) -> None:
        item, size = arrival.item, arrival.size
        if size > self._limits.queue_bytes // _LARGE_SHARE and self.queue.is_full_for(size):
            item, size = self.queue.lighter(item, size)  # else many others would lose theirs for this one's messages
            self.losses.note(LIGHTENED, int(size < arrival.size))
        refused = self._make_room(size, arrival.refused)
        self._newest = arrival
        if refused is None:
            self.queue.put(number, size, arrival.accepted_at, item)
            self.books.accepted = number
            self._on_accepted()
        else:
            self.books.accepted = number
            self._drop(number, size, refused)
        self._need_writer()

    def _recount(self, arrival: _Arrival[T], number: int) -> None:
        """Put the books in order after an interruption in the middle: what is in the queue has been accepted."""
        self.queue.recount()
        self.books.accepted = self.books.settled + len(self.queue) + self._count_in_flight()
        self._newest = arrival if self.books.accepted >= number else None

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
        is_full = self.blocked or self.queue.is_full_for(coming * size, coming)
        if not is_full or self.is_inside():
            return None
        if _is_on_event_loop():
            return "event_loop"
        give_up_at = time.monotonic() + self._limits.block_seconds
        with self.locked():
            self.blocked += 1
            self._need_writer()
            self._bell.ring()
            try:
                while self.queue.is_full_for(size):
                    left = give_up_at - time.monotonic()
                    if left <= 0:
                        return "queue_full"
                    self.wait(self._room, left)
            finally:
                self.blocked -= 1
        return None


def _is_on_event_loop() -> bool:
    asyncio = sys.modules.get("asyncio")  # not imported: then there is no loop
    return asyncio is not None and asyncio._get_running_loop() is not None
