"""
The buffer between the threads that log and the one that writes: all that they share, under one lock.

A log call only appends to the hand-off. It takes in itself where much, or something large, stands there, or where the
bounds are near and the policy must decide; even then it waits for no other thread: whoever holds the lock takes in
what stands there before it leaves. So a log call from a signal handler or a destructor, on the very thread that holds
the lock, waits for nobody either. Imports only the standard library and what lies beside it.
"""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from aicore_sqllog.batching.batch import Batch
from aicore_sqllog.batching.clock import monotonic
from aicore_sqllog.batching.contents import Contents
from aicore_sqllog.batching.counts import EVENT_LOOP, QUEUE_FULL, Counts, Loss, Outcome
from aicore_sqllog.batching.flushes import Flush
from aicore_sqllog.batching.handoff import MOST_WAITING, Arrival, HandOff
from aicore_sqllog.batching.limits import Limits
from aicore_sqllog.batching.queue import Packing
from aicore_sqllog.batching.room import Room, is_on_event_loop
from aicore_sqllog.batching.wakeup import Wakeup

__all__ = ["Buffer"]

T = TypeVar("T")

_MUCH_SECONDS = 0.05
"""Who brings much, or something large, waits so long for a thread that the system suspended inside the lock."""

_ROUNDS = 3
"""How often a thread that leaves the lock takes in what came meanwhile, before it leaves that to another."""


class Buffer(Generic[T]):
    """
    Items from any thread, in batches for one.

    Args:
        limits: How much may wait, when a batch is due, and what happens past that.

        packing: What the queue may do to an item that waits.

        find_owner: Returns what must live as long as anything waits, and may go when nothing does.
    """

    def __init__(self, limits: Limits, packing: Packing[T], find_owner: Callable[[], object] = lambda: None) -> None:
        self._limits = limits
        self._find_owner = find_owner
        self._owner: object = None
        """Held while anything waits."""
        self._contents: Contents[T] = Contents(limits, packing)
        self._hand_off: HandOff[T] = HandOff(limits)
        self._arrivals, self._large_bytes = self._hand_off.arrivals, self._hand_off.large_bytes
        # Re-entrant, because a signal handler or a destructor may log, or flush, while this very thread holds it.
        self._lock = threading.RLock()
        self._is_inside = False
        """Whether a thread is inside the lock; whoever holds the lock and reads True has interrupted itself."""
        self._is_wanted = False
        """Whether a thread waits for the lock. Log calls leave it to that one: whoever only tries would overtake it."""
        self._wakeup = Wakeup()
        self._is_writer_idle = False
        """Whether the writing thread sleeps until an item comes."""
        self._is_stopping = False
        self._most_waiting = 1
        """The log call with which so many are handed off takes in: fewer where these would make a batch full."""
        self._is_room_scarce = False
        self._room = Room()
        self._note_room()

    # -- the threads that log ---------------------------------------------------------------------------------------

    def put(self, item: T, size: int) -> None:
        """Accept *item* of *size* bytes. Waits only under the policy ``block``, and only where there is no room."""
        if self._is_room_scarce:
            self._put_where_room_is_scarce(item, size)
            return
        arrivals = self._arrivals
        arrivals.append((item, size, monotonic(), None))
        if self._is_writer_idle:
            self._is_writer_idle = False
            self._owner = self._find_owner()
            self._wakeup.set()
        if len(arrivals) >= self._most_waiting or size > self._large_bytes:
            self._take_in_if_free(_MUCH_SECONDS if self._is_much(size) else 0)

    def refuse(self, reason: str) -> None:
        """Count an item that could not even be put, as dropped for *reason*."""
        with self._locked():
            self._contents.counts.accepted += 1
            self._contents.drop(self._contents.counts.accepted, 0, reason)

    # -- whoever asks, or waits -------------------------------------------------------------------------------------

    def counts(self, after: Outcome | None = None) -> Counts:
        """Return a copy of the counts, exact at this moment; with *after*, as if the batch in flight had ended so."""
        with self._locked():
            return self._contents.counts_now(after)

    def begin_flush(self, on_settled: Callable[[], None]) -> Flush:
        """Have everything accepted so far written now; *on_settled* is called, on any thread, when it is settled."""
        with self._locked() as is_outermost:
            flush = Flush(self._contents.counts.accepted, on_settled, is_outermost)
            self._contents.flushes.begin(flush)
            self._contents.flushes.tell(self._contents.oldest_unsettled)
        self._wakeup.set()
        return flush

    def end_flush(self, flush: Flush) -> bool:
        """Return whether all that *flush* waited for is stored. A loss is told once, to the flush that meets it."""
        with self._locked():
            return self._contents.flushes.end(flush, self._contents.oldest_unsettled)

    @property
    def has_work(self) -> bool:
        """Whether anything waits to be written."""
        return bool(self._arrivals or self._contents.in_flight or len(self._contents.queue))

    def stop(self) -> None:
        """Have :meth:`next_batch` return None when everything is settled; an item that comes first takes that back."""
        with self._locked():
            self._is_stopping = True
        self._wakeup.set()

    # -- the thread that writes -------------------------------------------------------------------------------------

    def next_batch(self) -> Batch[T] | None:
        """Wait until a batch is due, and return it; None when it is to stop and nothing is left to write."""
        contents = self._contents
        while True:
            with self._locked():
                if contents.in_flight is not None:  # of a thread that died, or gave up: it is still the oldest
                    return contents.in_flight
                seconds = contents.seconds_until_due()
                if seconds is not None and (seconds == 0 or self._room.is_awaited or self._is_stopping):
                    return self._take()
                if seconds is None and self._is_stopping:
                    return None
                self._is_writer_idle = seconds is None
            if not (self._is_writer_idle and self._arrivals):  # else one came before it could be seen that we sleep
                self._wakeup.wait(seconds)
            self._is_writer_idle = False

    def take_batch(self) -> Batch[T] | None:
        """Return the batch in flight, else one of the oldest items, due or not; None where nothing waits."""
        with self._locked():
            if self._contents.in_flight is None and len(self._contents.queue):
                return self._take()
            return self._contents.in_flight

    def settle(self, outcome: Outcome) -> None:
        """Count what became of the batch in flight, and tell those who wait for it."""
        with self._locked():
            self._contents.settle(outcome)
        if not self.has_work:
            self._owner = None  # outside the lock: it may be the last who holds it
            if self._arrivals:  # put meanwhile
                self._owner = self._find_owner()

    def note_retry(self) -> None:
        """Count a failed attempt."""
        with self._locked():
            self._contents.counts.retries += 1

    def note_loss(self, reason: str, count: int) -> None:
        """Have :meth:`take_losses` tell of *count* items of a batch, which the counts get with its outcome."""
        with self._locked():
            self._contents.losses.note(reason, count)

    def take_losses(self) -> list[Loss]:
        """Return what was lost since this was called last, by reason; what cannot be stored is given back."""
        if not self._contents.losses:
            return []
        with self._locked():
            return self._contents.losses.take()

    def give_back_losses(self, losses: list[Loss]) -> None:
        """Keep *losses*, which could not be stored, until they are taken again."""
        with self._locked():
            self._contents.losses.give_back(losses)

    def is_finished(self) -> bool:
        """Return whether it is to stop, and nothing has come since."""
        with self._locked():
            return self._is_stopping and not self.has_work

    def pause(self, until: float, flushes_before: int) -> None:
        """Wait until *until*, or until a flush begins: who waits wants an attempt now, not later."""
        while self.flush_count == flushes_before and (seconds := until - monotonic()) > 0:
            self._wakeup.wait(seconds)

    @property
    def flush_count(self) -> int:
        """How many flushes have begun."""
        return self._contents.flushes.count

    @property
    def is_awaited(self) -> bool:
        """Whether a flush waits."""
        return bool(self._contents.flushes)

    # -- the lock ---------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _locked(self) -> Iterator[bool]:
        """
        Hold the lock, for a few instructions, with all taken in that came before.

        Yields whether nobody was inside: False where a signal handler or a destructor interrupted this very thread.
        """
        if sys.is_finalizing():
            self._require_lock()
        self._is_wanted = True
        with self._lock:
            self._is_wanted = False
            is_outermost = not self._is_inside
            if is_outermost:
                try:
                    self._is_inside = True
                    self._take_in()
                    yield True
                finally:
                    self._is_inside = False
            else:
                yield False
        if is_outermost:
            self._take_in_if_free()

    def _require_lock(self) -> None:
        """Raise if another thread has the lock: an interpreter that ends has stopped it there for ever."""
        if not self._lock.acquire(blocking=False):
            raise TimeoutError("the interpreter ends, and has stopped the thread that holds the lock")
        self._lock.release()

    def _take_in_if_free(self, seconds: float = 0) -> None:
        """Take in what was handed off, unless another thread is inside the lock: then that one does it on leaving."""
        for _ in range(_ROUNDS):
            if not self._arrivals or self._is_inside or (self._is_wanted and not seconds):
                return
            try:
                if not self._lock.acquire(timeout=seconds):
                    return
                self._take_in_inside()
            except Exception:  # such as no memory: the items stand there, and whoever comes next tries again
                break
            finally:
                # Ctrl-C may come between taking the lock and remembering that it is taken. So nothing is remembered,
                # and the lock is asked: it refuses a thread that does not have it.
                try:  # noqa: SIM105  # suppress() is a function of Python's, in which another Ctrl-C may come
                    self._lock.release()
                except RuntimeError:
                    pass
        self._wakeup.set()  # the rest is for the writing thread

    def _take_in_inside(self) -> None:
        try:
            self._is_inside = True
            self._take_in()
        finally:
            self._is_inside = False

    def _take_in(self) -> None:
        if not self._arrivals:
            return
        contents, hand_off = self._contents, self._hand_off
        was_empty = not len(contents.queue)
        try:
            left, at_once = len(self._arrivals), MOST_WAITING  # what comes from now on is for the next round
            while left > 0 and (arrivals := hand_off.first(min(left, at_once))):
                admitted = self._admit(arrivals)
                left -= admitted
                at_once = MOST_WAITING if admitted == at_once else 1
        finally:
            self._is_stopping = self._is_stopping and not len(contents.queue)
            self._note_room()
            if was_empty or contents.is_batch_full:
                self._owner = self._owner or self._find_owner()
                self._wakeup.set()

    def _admit(self, arrivals: list[Arrival[T]]) -> int:
        contents = self._contents
        accepted = contents.counts.accepted
        try:
            admitted = contents.admit(arrivals)
            self._hand_off.note_admitted(arrivals[:admitted])
        except BaseException:  # Ctrl-C, or another exception of a signal handler
            self._hand_off.note_admitted(arrivals[: contents.recount() - accepted])
            raise
        self._hand_off.remove_admitted()
        return admitted

    def _take(self) -> Batch[T]:
        batch = self._contents.take()
        self._note_room()
        self._room.tell()
        return batch

    # -- room -------------------------------------------------------------------------------------------------------

    def _note_room(self) -> None:
        """Note how much may be handed off before a log call must take in: nothing where the bounds are near."""
        hand_off, queued = self._hand_off, len(self._contents.queue)
        self._most_waiting = max(1, min(MOST_WAITING, self._limits.batch_size - queued))
        self._is_room_scarce = self._contents.is_room_scarce(MOST_WAITING, MOST_WAITING * hand_off.large_bytes)

    def _put_where_room_is_scarce(self, item: T, size: int) -> None:
        refused = self._await_room(size) if self._limits.overflow == "block" else None
        self._owner = self._find_owner()
        self._arrivals.append((item, size, monotonic(), refused))
        self._take_in_if_free(_MUCH_SECONDS if self._is_much(size) else 0)

    def _is_much(self, size: int) -> bool:
        return size > self._hand_off.large_bytes or len(self._arrivals) > 2 * MOST_WAITING

    def _await_room(self, size: int) -> str | None:
        """Wait until there is room; return why there will be none, or None."""
        # Who comes later waits behind those who wait already, or room would never be left for these. What was handed
        # off will be in the queue, and may be as large.
        queue, coming = self._contents.queue, len(self._arrivals) + 1
        if not self._room.is_awaited and not queue.is_full_for(coming * size, coming):
            return None
        if is_on_event_loop():
            return EVENT_LOOP
        with self._locked() as is_outermost:
            if not is_outermost:
                return None  # this thread keeps the other from making room: then it is one too many
            turn = self._room.queue_up()
        try:
            has_room = self._room.wait(
                turn, self._limits.block_seconds, lambda: not queue.is_full_for(size), self._wakeup.set
            )
        finally:
            with self._locked():
                self._room.leave(turn)
        return None if has_room else QUEUE_FULL
