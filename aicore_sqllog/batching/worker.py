"""
The thread that writes a buffer's batches, each as often as it takes, for as long as the process lives.

It knows nothing of what the items are, of logging or of SQL; it imports only the standard library and what lies
beside it.
"""

import contextlib
import functools
import random
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from aicore_sqllog.batching.batch import Batch
from aicore_sqllog.batching.buffer import Buffer
from aicore_sqllog.batching.clock import monotonic
from aicore_sqllog.batching.counts import UNSTORABLE, Counts, Loss, Outcome
from aicore_sqllog.batching.flushes import Flush
from aicore_sqllog.batching.wakeup import Wakeup

__all__ = ["LOOK_AGAIN_SECONDS", "BatchWorker", "Sink"]

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 30.0
_AWAITED_PAUSE_SECONDS = 0.5
"""The longest pause between two attempts while somebody waits for the outcome."""

_START_AGAIN_SECONDS = 1.0
_DELIVERY_LOCK_SECONDS = 5.0
"""How long a new thread waits for one that delivers and is about to end."""

LOOK_AGAIN_SECONDS = 1.0
"""How often one who waits looks whether there is still a thread that could bring what it waits for."""

_JOIN_SECONDS = 0.02
_TAKES_OF_LOSSES = 2
"""What could not be stored before, and what came since."""


class Sink(Protocol[T_contra]):
    """Where batches go. Called by one thread at a time."""

    def prepare(self, items: Sequence[T_contra]) -> Any:
        """Return what :meth:`write` needs of *items*; made once, and written as often as it takes."""

    def write(self, prepared: Any, attempt: int) -> Outcome:
        """Store a batch. An exception means that nothing of it is settled."""

    def write_losses(self, losses: Sequence[Loss]) -> None:
        """Store what was lost; apart from any batch, so that no record waits for a table of losses."""

    def failed(self, exc: BaseException, items: int, attempt: int, counts: Counts) -> None:
        """Called after a failed attempt; *counts* are those of now."""

    def settled(self, counts: Counts) -> None:
        """Called with the counts as they will be when the batch that was just written is settled."""

    def close(self) -> None:
        """Close connections; the thread ends. A later write opens them again."""


class BatchWorker(Generic[T]):
    """
    Hands a buffer's batches to *sink*, in order, from one daemon thread.

    Args:
        buffer: Where the batches come from.

        sink: Where they go. A failed attempt is made again, with full-jitter backoff, for as long as it takes.

        name: The thread's name.

        keep_alive: Not to be collected as long as the thread runs.

        choose_pause: Returns the seconds of a pause that may be so long at most.
    """

    def __init__(
        self,
        buffer: Buffer[T],
        sink: Sink[T],
        *,
        name: str,
        keep_alive: object = None,
        choose_pause: Callable[[float], float] | None = None,
    ) -> None:
        self._keep_alive = keep_alive
        self._buffer = buffer
        self._sink = sink
        self._name = name
        self._delivery_lock = threading.Lock()
        """Held by the thread that delivers: ours, or one that flushes where ours cannot be started."""
        # A generator of our own: the application's sequence of random numbers is not ours to move.
        self._choose_pause = choose_pause or functools.partial(random.Random().uniform, 0.0)
        self._starter: dict[str, object] = {}
        """Who starts the thread just now."""
        self._start_again_at = 0.0
        self._may_start = True
        self.thread: threading.Thread | None = None
        """None before the first item, and after it has ended."""
        self.thread_id = 0
        """Of the thread that delivers, while it does."""

    # -- any thread -------------------------------------------------------------------------------------------------

    @property
    def is_alive(self) -> bool:
        """Whether there is a thread that writes; an interpreter that ends has stopped all but one."""
        return self.thread is not None and self.thread.is_alive() and not sys.is_finalizing()

    def flush(self, give_up_at: float) -> bool:
        """Wait until all that was accepted before is settled; return whether all of it is stored."""
        if threading.get_ident() == self.thread_id:
            return False  # a callback on our own thread asks: it would wait for itself
        settled = Wakeup()
        flush = self._buffer.begin_flush(settled.set)
        try:
            if flush.may_wait:
                self._await(flush, settled, give_up_at)
        finally:
            stored = self._buffer.end_flush(flush)
        return stored and flush.may_wait

    def ensure_thread(self) -> None:
        """
        Start the thread if there is none, and anything to write.

        Where none can be started, as in an interpreter that ends, the items wait for :meth:`flush`, which writes them
        on its caller's thread.
        """
        if not self._may_start or self.is_alive or not self._buffer.has_work or monotonic() < self._start_again_at:
            return
        me = object()
        try:
            # No lock: a signal handler that logs may interrupt this thread here, where it would wait for itself.
            if self._starter.setdefault("thread", me) is me and not self.is_alive:
                self._start()
        finally:
            if self._starter.get("thread") is me:
                self._starter.clear()

    def _start(self) -> None:
        self.thread = thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            self._start_again_at = monotonic() + _START_AGAIN_SECONDS
            self.thread = None
        except BaseException:  # Ctrl-C
            self.thread = None
            raise

    def stop(self, give_up_at: float) -> None:
        """
        Have the thread end when nothing is left to write, and wait for that until *give_up_at*.

        An item that comes first keeps the thread, and one that comes later starts it again.
        """
        self._buffer.stop()
        thread = self.thread
        while thread is not None and self.is_alive and self._buffer.is_finished():
            seconds = give_up_at - monotonic()
            if seconds <= 0 or thread is threading.current_thread():
                return
            thread.join(min(_JOIN_SECONDS, seconds))

    def finish(self, give_up_at: float) -> None:
        """
        Write what waits, and have the thread end, until *give_up_at*, because the process ends.

        From now on no thread is started, and what still comes is written on the thread that calls this or flushes. So
        nothing is left to a thread that the interpreter stops, perhaps in the middle of a transaction.
        """
        self._may_start = False
        self.flush(give_up_at)
        self.stop(give_up_at)
        if not self.is_alive and self._delivery_lock.acquire(blocking=False):
            try:
                with contextlib.suppress(Exception):
                    self._sink.close()
            finally:
                self._delivery_lock.release()

    def _await(self, flush: Flush, settled: Wakeup, give_up_at: float) -> None:
        self.ensure_thread()
        if not self.is_alive:
            self._work_here(flush.target, give_up_at)
            if sys.is_finalizing():
                return
        while not settled.wait(min(LOOK_AGAIN_SECONDS, give_up_at - monotonic())):
            if monotonic() >= give_up_at:
                return
            self.ensure_thread()  # it may have been killed

    def _work_here(self, target: int, give_up_at: float) -> None:
        """Write what waits up to item *target* on the calling thread, because there is no other."""
        seconds = 0.0 if sys.is_finalizing() else max(0.0, give_up_at - monotonic())
        if not self._delivery_lock.acquire(timeout=seconds):
            return
        self.thread_id = threading.get_ident()
        try:
            while monotonic() < give_up_at and (batch := self._buffer.take_batch()) is not None:
                if batch.first > target or not self._deliver(batch, give_up_at):
                    return
        finally:
            self.thread_id = 0
            self._delivery_lock.release()

    # -- the thread -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        if not self._delivery_lock.acquire(timeout=_DELIVERY_LOCK_SECONDS):
            self._forget_thread()  # an interrupted start left a thread that is unknown to us
            return
        self.thread_id = threading.get_ident()
        try:
            self._work_until_stopped()
        finally:
            self.thread_id = 0  # the system gives the number to the next thread, whose records are none of ours
            self._forget_thread()
            self._delivery_lock.release()
        self.ensure_thread()  # something may have come while it was ending

    def _forget_thread(self) -> None:
        if self.thread is threading.current_thread():
            self.thread = None

    def _work_until_stopped(self) -> None:
        while True:
            # The thread outlives whatever is thrown at it: what waits would have nobody left to write it.
            try:
                batch = self._buffer.next_batch()
                if batch is not None:
                    self._deliver(batch, None)
                    continue
                self._write_losses()
                self._sink.close()
            except BaseException as exc:
                self._note_failure(exc, 0, 1)
                time.sleep(_FIRST_PAUSE_SECONDS)
            if self._buffer.is_finished():
                return

    def _deliver(self, batch: Batch[T], give_up_at: float | None) -> bool:
        """Write *batch*, as often as it takes; False if the time was over first."""
        while True:
            batch.attempts += 1
            flushes_before = self._buffer.flush_count
            try:
                outcome = self._attempt(batch)
            except BaseException as exc:
                self._note_failure(exc, len(batch.items), batch.attempts)
            else:
                self._settle(batch, outcome)
                return True
            until = monotonic() + self.pause_seconds(batch.attempts)
            if give_up_at is not None and (until >= give_up_at or sys.is_finalizing()):
                return False
            self._buffer.pause(until, flushes_before)

    def _attempt(self, batch: Batch[T]) -> Outcome:
        if not batch.is_prepared:
            batch.prepared, batch.is_prepared = self._sink.prepare(batch.items), True
        outcome = self._sink.write(batch.prepared, batch.attempts)
        if outcome.items != len(batch.items):
            raise ValueError(f"{outcome} does not say what became of each of {len(batch.items)} items")
        return outcome

    def _settle(self, batch: Batch[T], outcome: Outcome) -> None:
        with contextlib.suppress(BaseException):  # it is stored, whatever the report meets
            self._sink.settled(self._buffer.counts(after=outcome))
        self._buffer.note_loss(UNSTORABLE, outcome.dropped)
        self._write_losses()  # before the batch is settled: who waits for it finds them stored
        self._buffer.settle(outcome)

    def _write_losses(self) -> None:
        for _ in range(_TAKES_OF_LOSSES):  # no more: where items are dropped all the time there are always others
            losses = self._buffer.take_losses()
            if not losses:
                return
            try:
                self._sink.write_losses(losses)
            except BaseException:  # they wait for the next batch; what was written before is stored
                self._buffer.give_back_losses(losses)
                return

    def pause_seconds(self, attempt: int) -> float:
        """
        Return how long to wait before the next attempt: full jitter, exponential.

        While somebody waits it is not long: the database may be back, and the process at its end. The formula is
        that of AWS Architecture Blog, "Exponential Backoff And Jitter" (2015).
        """
        longest = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** min(attempt, 20))
        if self._buffer.is_awaited:
            longest = min(longest, _AWAITED_PAUSE_SECONDS)
        return self._choose_pause(longest)

    def _note_failure(self, exc: BaseException, items: int, attempt: int) -> None:
        with contextlib.suppress(BaseException):  # the thread outlives whatever the report, or a callback, does
            self._buffer.note_retry()
            self._sink.failed(exc, items, attempt, self._buffer.counts())
