"""
A thread that takes items from a bounded queue and writes them in batches, for as long as it takes.

It knows nothing of its cargo, of logging or of SQL; it imports only the standard library, and what lies beside it
and does the same: the intake with the queue and the books, the flushes.

Every item gets a number when it is accepted, and is settled when it is committed, found stored
already, dead-lettered or dropped. All counting happens under one lock that is held for a few
instructions, so the books balance whenever they are read.
"""

import contextlib
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from aicore_sqllog.batching.counts import Books, Loss, Outcome
from aicore_sqllog.batching.flushes import Flushes
from aicore_sqllog.batching.intake import Intake
from aicore_sqllog.batching.limits import Limits
from aicore_sqllog.batching.queue import BoundedQueue, Cargo, Entry
from aicore_sqllog.batching.wakeup import Bell

__all__ = ["BatchWorker"]

T = TypeVar("T")

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 30.0
_AWAITED_PAUSE_SECONDS = 0.5
"""The longest pause between two attempts while somebody waits for the outcome."""
_RESTART_SECONDS = 1.0
_DESK_SECONDS = 5.0
"""How long a new thread waits for one that delivers, and is about to end."""


class BatchWorker(Generic[T]):
    """
    Hands items to *write* in batches, in order, from one daemon thread that the first item starts.

    Args:
        write: Called on the thread with the items of a batch and the number of the attempt, from
            1. An exception means that nothing of the batch is settled; it is tried again, with
            full-jitter backoff, for as long as it takes.

        name: The thread's name.

        limits: See :class:`Limits`.

        cargo: What the queue may do to an item that waits.

        on_failure: Called on the thread after a failed attempt, with the exception, the number of
            items and that of the attempt.

        on_idle_end: Called on the thread when it ends; the place to close connections.
    """

    def __init__(
        self,
        write: Callable[[Sequence[T], int], Outcome],
        *,
        name: str,
        limits: Limits,
        cargo: Cargo[T],
        on_failure: Callable[[BaseException, int, int], None] = lambda exc, count, attempt: None,
        on_idle_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._write = write
        self._name = name
        self._limits = limits
        self._cargo = cargo
        self._on_failure = on_failure
        self._on_idle_end = on_idle_end
        self.reset()

    def reset(self) -> None:
        """Begin anew with empty books: what a forked child must do, for the queue and its thread are the parent's."""
        queue = BoundedQueue(self._limits.queue_size, self._limits.queue_bytes, self._cargo)
        self._bell = Bell()
        self._intake = Intake(
            self._limits,
            queue,
            self._bell,
            need_writer=self._need_thread,
            on_accepted=self._note_accepted,
            on_dropped=self._note_dropped,
            count_in_flight=lambda: len(self._in_flight),
        )
        self._queue, self._books = self._intake.queue, self._intake.books
        self._ended = self._intake.condition()
        self._desk = threading.Lock()
        """Held by the thread that delivers: ours, or one that flushes where ours cannot be started."""
        self._jitter = random.Random()  # the application's own sequence of random numbers is not ours to move
        self._flushes = Flushes()
        self._in_flight: Sequence[Entry[T]] = []
        self._attempts = 0
        """How many attempts at the batch in flight there were, by whatever thread."""
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._start_again_at = 0.0
        self.thread_id = 0

    # -- the producers' side -------------------------------------------------------------------

    def put(self, item: T, size: int) -> None:
        """Accept *item* of *size* bytes. Waits only under the policy ``block``, and only where there is no room."""
        self._intake.put(item, size)

    def refuse(self, reason: str) -> None:
        """Count an item that could not even be put, as dropped for *reason*."""
        self._intake.refuse(reason)

    def books(self) -> Books:
        """Return a copy of the books, exact at this moment."""
        with self._intake.locked():
            oldest = self._in_flight[0] if self._in_flight else self._queue.oldest
            return self._books.copy(
                pending=len(self._queue) + len(self._in_flight),
                pending_bytes=self._queue.bytes + sum(entry.size for entry in self._in_flight),
                oldest_age=0.0 if oldest is None else time.monotonic() - oldest.accepted_at,
            )

    def note_loss(self, reason: str, count: int) -> None:
        """Have :meth:`take_losses` tell of *count* items of a batch, which the books get with its outcome."""
        with self._intake.locked():
            self._intake.losses.note(reason, count)

    def take_losses(self) -> list[Loss]:
        """Return what was lost since this was called last, by reason."""
        with self._intake.locked():
            return self._intake.losses.take()

    def flush(self, timeout: float) -> bool:
        """Wait until all that was accepted before is settled; return whether all of it is stored."""
        settled = Bell()
        give_up_at = time.monotonic() + timeout
        target = self.request_flush(settled.ring)
        if self._intake.is_inside():  # a signal handler's flush: this very thread keeps the other from the queue
            self.end_flush(target, settled.ring)
            return False
        if not self._has_thread():
            self._work_here(target, give_up_at)
        while not settled.wait(min(_RESTART_SECONDS, give_up_at - time.monotonic())):
            if time.monotonic() >= give_up_at:
                break
            self.ensure_thread()
        return self.end_flush(target, settled.ring)

    def ensure_thread(self) -> None:
        """Have a thread, for who waits for one that was killed, or could not be started, would wait for nobody."""
        with self._intake.locked():
            self._ensure_thread()

    def request_flush(self, on_settled: Callable[[], None]) -> int:
        """Have everything accepted so far written now; *on_settled* is called, on any thread, when it is settled."""
        with self._intake.locked():
            target = self._books.accepted
            self._flushes.begin(target, on_settled)
            self._flushes.tell(self._oldest_unsettled())
            if len(self._queue) or self._in_flight:
                self._ensure_thread()
            self._bell.ring()
            return target

    def end_flush(self, target: int, on_settled: Callable[[], None]) -> bool:
        """Return whether all up to *target* is stored. A loss is told once, to the flush that meets it."""
        with self._intake.locked():
            return self._flushes.end(target, on_settled, self._oldest_unsettled())

    def stop(self, timeout: float) -> bool:
        """
        Flush, then end the thread; return whether all is stored.

        What could not be written in time is not given up: the thread goes on while the process
        lives. An item that comes later starts the thread again.
        """
        give_up_at = time.monotonic() + timeout
        stored = self.flush(timeout)
        with self._intake.locked():
            self._stopping = True
            self._bell.ring()
            while self._stopping and self._has_thread() and not len(self._queue) and not self._in_flight:
                left = give_up_at - time.monotonic()
                if left <= 0:
                    break
                self._intake.wait(self._ended, left)
            if not self._has_thread():
                self._thread = None
        return stored

    # -- inside the lock -------------------------------------------------------------------------

    def _note_accepted(self) -> None:
        self._stopping = False
        if len(self._queue) == 1 or self._is_batch_full():
            self._bell.ring()

    def _need_thread(self) -> None:
        if self._thread is None:
            self._ensure_thread()

    def _note_dropped(self, number: int) -> None:
        self._flushes.lose(number, number)
        if self._flushes:
            self._flushes.tell(self._oldest_unsettled())

    def _oldest_unsettled(self) -> int:
        if self._in_flight:
            return self._in_flight[0].number
        oldest = self._queue.oldest
        return self._books.accepted + 1 if oldest is None else oldest.number

    def _has_thread(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _ensure_thread(self) -> None:
        """Start the thread if there is none. Where none can be started, which an ending interpreter
        may refuse, the items wait for :meth:`flush`, which writes them on its caller's thread."""
        if self._has_thread() or time.monotonic() < self._start_again_at:
            return
        self._thread = thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            self._start_again_at = time.monotonic() + _RESTART_SECONDS
            self._thread = None
        except BaseException:  # Ctrl-C
            self._thread = None
            raise

    # -- the thread's side -----------------------------------------------------------------------

    def _run(self) -> None:
        if not self._desk.acquire(timeout=_DESK_SECONDS):  # an interrupted start left a thread that is unknown to us
            self._forget_thread()
            return
        self.thread_id = threading.get_ident()
        try:
            self._work_until_stopped()
        finally:
            self.thread_id = 0  # the system gives the number to the next thread, whose records are none of ours
            self._forget_thread()
            self._desk.release()

    def _forget_thread(self) -> None:
        if self._thread is threading.current_thread():
            self._thread = None

    def _work_until_stopped(self) -> None:
        while True:
            # The thread outlives whatever is thrown at it: what waits would have nobody left to write it.
            try:
                if self._take_batch(wait=True):
                    self._deliver(None)
                    continue
                self._on_idle_end()
            except BaseException as exc:
                self._note_failure(exc, len(self._in_flight), 1)
                time.sleep(_FIRST_PAUSE_SECONDS)
            with self._intake.locked():
                if self._stopping and not len(self._queue) and not self._in_flight:
                    self._thread = None
                    self._ended.notify_all()
                    return

    def _work_here(self, target: int, give_up_at: float) -> None:
        """Write what waits up to *target* on the calling thread, for there is no other."""
        if not self._desk.acquire(timeout=max(0.0, give_up_at - time.monotonic())):
            return
        self.thread_id = threading.get_ident()
        try:
            while self._oldest_unsettled() <= target and time.monotonic() < give_up_at:
                if not self._take_batch(wait=False) or not self._deliver(give_up_at):
                    return
        finally:
            self.thread_id = 0
            self._desk.release()

    def _take_batch(self, *, wait: bool) -> bool:
        while True:
            with self._intake.locked():
                if self._in_flight:  # of a thread that died, or gave up: it is still the oldest
                    return True
                left = self._seconds_until_due()
                if left == 0 or not wait:
                    self._in_flight = self._queue.take(self._limits.batch_size, self._limits.batch_bytes)
                    self._attempts = 0
                    self._intake.make_room_known()
                    return bool(self._in_flight)
                if left is None and self._stopping:
                    return False
            self._bell.wait(left)

    def _seconds_until_due(self) -> float | None:
        """Return how long until a batch must begin: 0 for now, None for never as things are."""
        oldest = self._queue.oldest
        if oldest is None:
            return None
        if self._is_batch_full() or self._intake.blocked or self._stopping or oldest.number <= self._flushes.target:
            return 0
        return max(0.0, oldest.accepted_at + self._limits.flush_interval - time.monotonic())

    def _is_batch_full(self) -> bool:
        """Whether there is enough for a batch, or so much that the queue would be full before there is."""
        limits = self._limits
        return len(self._queue) >= min(limits.batch_size, limits.queue_size) or self._queue.bytes >= min(
            limits.batch_bytes, limits.queue_bytes // 2
        )

    def _deliver(self, give_up_at: float | None) -> bool:
        """Write the batch in flight, as often as it takes; False if the time was over first."""
        items = [entry.item for entry in self._in_flight]
        while True:
            self._attempts = attempt = self._attempts + 1
            flushes_before = self._flushes.count
            try:
                outcome = self._write(items, attempt)
                if outcome.items != len(items):
                    raise ValueError(f"{outcome} does not say what became of each of {len(items)} items")
            except BaseException as exc:
                self._note_failure(exc, len(items), attempt)
            else:
                self._settle(outcome)
                return True
            if not self._pause(attempt, flushes_before, give_up_at):
                return False

    def _pause(self, attempt: int, flushes_before: int, give_up_at: float | None) -> bool:
        """
        Wait before the next attempt: full jitter, exponential. False if there is no time for another.

        A flush that came since the last attempt began ends the pause, and while one waits no pause is long: the
        database may be back, and the process at its end.
        """
        longest = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** min(attempt, 20))
        with self._intake.locked():
            if self._flushes:
                longest = min(longest, _AWAITED_PAUSE_SECONDS)
            until = time.monotonic() + self._jitter.uniform(0, longest)
        if give_up_at is not None and until >= give_up_at:
            return False
        while self._flushes.count == flushes_before and (left := until - time.monotonic()) > 0:
            self._bell.wait(left)
        return True

    def _note_failure(self, exc: BaseException, count: int, attempt: int) -> None:
        with self._intake.locked():
            self._books.retries += 1
        with contextlib.suppress(BaseException):  # the thread outlives whatever a callback does
            self._on_failure(exc, count, attempt)

    def _settle(self, outcome: Outcome) -> None:
        with self._intake.locked():
            self._books.settle(outcome)
            if outcome.dead_lettered or outcome.dropped:
                self._flushes.lose(self._in_flight[0].number, self._in_flight[-1].number)
            self._in_flight = []
            self._flushes.tell(self._oldest_unsettled())
