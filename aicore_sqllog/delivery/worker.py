"""
A thread that takes items from a bounded queue, which it is given, and writes them in batches.

It knows nothing of its cargo, of logging or of SQL, and imports only the standard library.

Every item gets a number when it is accepted, and is settled when it is committed, found stored
already, dead-lettered or dropped. All counting happens under one lock that is held for a few
instructions, so the books balance whenever they are read::

    accepted == committed + duplicate + dead_lettered + dropped + pending
"""

import contextlib
import random
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar

__all__ = ["BatchWorker", "Books", "Limits", "Loss", "Outcome", "Overflow"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Overflow = Literal["block", "drop_newest", "drop_oldest"]

LIGHTENED = "content"
"""The reason under which items that were made lighter are noted; they are not dropped."""

UNSTORABLE = "unstorable"
"""The reason for what could be neither stored nor kept elsewhere."""

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 30.0
_RESTART_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a batch is due, how large it gets, and how much may wait."""

    batch_size: int = 500
    batch_bytes: int = 1024**2
    flush_interval: float = 1.0
    """Seconds that an item waits at most before its batch is begun."""
    queue_size: int = 10_000
    queue_bytes: int = 64 * 1024**2
    overflow: Overflow = "block"
    block_seconds: float = 5.0


class Outcome(NamedTuple):
    """What became of a batch that needs no further attempt; all but the last add up to its items."""

    committed: int
    duplicate: int = 0
    dead_lettered: int = 0
    dropped: int = 0
    """Could be neither stored nor put to the dead letters."""
    id_conflict: int = 0
    """Of those committed: stored under an id of their own, for the one asked for was taken."""


@dataclass(slots=True)
class Loss:
    """What was lost for one reason within a time; the times are seconds since 1970."""

    reason: str
    count: int
    bytes: int
    first_at: float
    last_at: float


@dataclass(slots=True)
class Books:
    """What became of everything that was accepted."""

    accepted: int = 0
    committed: int = 0
    duplicate: int = 0
    dead_lettered: int = 0
    id_conflict: int = 0
    retries: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    pending: int = 0
    pending_bytes: int = 0
    oldest_age: float = 0.0
    """Seconds since the oldest waiting item was accepted."""
    last_commit_at: float | None = None
    """Seconds since 1970."""


class Entry(Protocol[T_co]):
    """An item that waits."""

    @property
    def number(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def accepted_at(self) -> float: ...
    @property
    def item(self) -> T_co: ...


class Queue(Protocol[T]):
    """What the worker needs of a queue; see ``delivery/queue.py``."""

    bytes: int

    def __len__(self) -> int: ...
    @property
    def oldest(self) -> Entry[T] | None: ...
    def is_full_for(self, size: int) -> bool: ...
    def put(self, number: int, size: int, accepted_at: float, item: T) -> None: ...
    def pop(self) -> Entry[T]: ...
    def lighten_for(self, size: int) -> int: ...
    def take(self, max_items: int, max_bytes: int) -> Sequence[Entry[T]]: ...


class BatchWorker(Generic[T]):
    """
    Hands items to *write* in batches, in order, from one daemon thread that the first item starts.

    Args:
        write: Called on the thread with the items of a batch and the number of the attempt, from
            1. An exception means that nothing of the batch is settled; it is tried again, with
            full-jitter backoff, for as long as it takes.

        name: The thread's name.

        limits: See :class:`Limits`.

        make_queue: Makes the empty queue, at the start and again in a forked child.

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
        make_queue: Callable[[Limits], Queue[T]],
        on_failure: Callable[[BaseException, int, int], None] = lambda exc, count, attempt: None,
        on_idle_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._write = write
        self._name = name
        self._limits = limits
        self._make_queue = make_queue
        self._on_failure = on_failure
        self._on_idle_end = on_idle_end
        self.reset()

    def reset(self) -> None:
        """Begin anew with empty books: what a forked child must do, for the queue and its thread are the parent's."""
        # Re-entrant, for a signal handler or a destructor may log while this very thread holds it.
        self._lock = threading.RLock()
        self._owner = 0
        self._jitter = random.Random()  # the application's own sequence of random numbers is not ours to move
        self._side_door: deque[tuple[T, int]] = deque()
        self._work = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._queue = self._make_queue(self._limits)
        self._in_flight: Sequence[Entry[T]] = []
        self._books = Books()
        self._flush_to = 0
        self._waiters: list[tuple[int, Callable[[], None]]] = []
        self._lost: tuple[int, int] | None = None
        self._losses: dict[str, Loss] = {}
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._start_again_at = 0.0
        self.thread_id = 0

    # -- the producers' side -------------------------------------------------------------------

    def put(self, item: T, size: int) -> None:
        """Accept *item* of *size* bytes. Waits only under the policy ``block``, and only when there is no room."""
        if self._owner == threading.get_ident():
            # This thread is inside the lock already: a signal handler or a destructor is logging.
            self._side_door.append((item, size))
            return
        with self._locked():
            self._admit(item, size)
        if self._side_door:
            with self._locked():
                pass

    def books(self) -> Books:
        """Return a copy of the books, exact at this moment."""
        with self._locked():
            books = self._books
            oldest = self._in_flight[0] if self._in_flight else self._queue.oldest
            return Books(
                accepted=books.accepted,
                committed=books.committed,
                duplicate=books.duplicate,
                dead_lettered=books.dead_lettered,
                id_conflict=books.id_conflict,
                retries=books.retries,
                dropped=Counter(books.dropped),
                pending=len(self._queue) + len(self._in_flight),
                pending_bytes=self._queue.bytes + sum(entry.size for entry in self._in_flight),
                oldest_age=0.0 if oldest is None else time.monotonic() - oldest.accepted_at,
                last_commit_at=books.last_commit_at,
            )

    def take_losses(self) -> list[Loss]:
        """Return what was lost since this was called last, by reason."""
        with self._locked():
            losses, self._losses = self._losses, {}
            return list(losses.values())

    def flush(self, timeout: float) -> bool:
        """Wait until all that was accepted before is settled; return whether all of it is stored."""
        settled = threading.Event()
        give_up_at = time.monotonic() + timeout
        target = self.request_flush(settled.set)
        if not settled.is_set() and not self._has_thread():
            self._work_here(target, give_up_at)
        while not settled.wait(max(0.0, min(_RESTART_SECONDS, give_up_at - time.monotonic()))):
            if time.monotonic() >= give_up_at:
                break
            with self._locked():  # a thread that was killed from outside would leave us waiting for nobody
                self._ensure_thread()
        return self.end_flush(target, settled.set)

    def request_flush(self, on_settled: Callable[[], None]) -> int:
        """Have everything accepted so far written now; *on_settled* is called, on any thread, when it is settled."""
        with self._locked():
            target = self._books.accepted
            self._flush_to = max(self._flush_to, target)
            self._waiters.append((target, on_settled))
            self._tell_waiters()
            if len(self._queue) or self._in_flight:
                self._ensure_thread()
            self._work.notify()
            return target

    def end_flush(self, target: int, on_settled: Callable[[], None]) -> bool:
        """Return whether all up to *target* is stored. A loss is told once, to the flush that meets it."""
        with self._locked():
            self._waiters = [waiter for waiter in self._waiters if waiter != (target, on_settled)]
            if self._lost is None or self._lost[0] > target:
                return self._oldest_unsettled() > target
            self._lost = (target + 1, self._lost[1]) if self._lost[1] > target else None
            return False

    def stop(self, timeout: float) -> bool:
        """
        Flush, then end the thread; return whether all is stored.

        What could not be written in time is not given up: the thread goes on while the process
        lives. An item that comes later starts the thread again.
        """
        give_up_at = time.monotonic() + timeout
        stored = self.flush(timeout)
        with self._locked():
            self._stopping = True
            self._work.notify()
            while self._stopping and self._has_thread() and not len(self._queue) and not self._in_flight:
                left = give_up_at - time.monotonic()
                if left <= 0:
                    break
                self._wait(self._room, left)
            if not self._has_thread():
                self._thread = None
        return stored

    # -- inside the lock -------------------------------------------------------------------------

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with self._lock:
            outermost = self._owner != threading.get_ident()
            self._owner = threading.get_ident()
            try:
                yield
                while outermost and self._side_door:
                    self._admit(*self._side_door.popleft())
            finally:
                if outermost:
                    self._owner = 0

    def _wait(self, condition: threading.Condition, timeout: float | None) -> None:
        # While it waits the lock is free, so this thread is not inside it.
        self._owner = 0
        try:
            condition.wait(timeout)
        finally:
            self._owner = threading.get_ident()

    def _admit(self, item: T, size: int) -> None:
        reason = self._make_room(size)
        self._books.accepted += 1
        number = self._books.accepted
        if reason is not None:
            self._lose(number, size, reason)
            return
        self._queue.put(number, size, time.monotonic(), item)
        self._stopping = False
        if self._thread is None or not self._thread.is_alive():
            self._ensure_thread()
        if len(self._queue) in (1, self._limits.batch_size) or self._queue.bytes >= self._limits.batch_bytes:
            self._work.notify()

    def _make_room(self, size: int) -> str | None:
        """Apply the policy; return why the new item must be dropped, or None if there is room for it."""
        if not self._queue.is_full_for(size):
            return None
        reason = self._wait_for_room(size) if self._limits.overflow == "block" else "queue_full"
        if reason is None:
            return None
        # What the items are about goes before the items themselves.
        self._note_loss(LIGHTENED, self._queue.lighten_for(size), 0)
        if self._limits.overflow == "drop_oldest":
            while self._queue.is_full_for(size):
                oldest = self._queue.pop()
                self._lose(oldest.number, oldest.size, "queue_full")
            self._tell_waiters()
        return reason if self._queue.is_full_for(size) else None

    def _wait_for_room(self, size: int) -> str | None:
        if _is_on_event_loop():
            return "event_loop"
        give_up_at = time.monotonic() + self._limits.block_seconds
        while self._queue.is_full_for(size):
            left = give_up_at - time.monotonic()
            if left <= 0:
                return "queue_full"
            self._wait(self._room, left)
        return None

    def _lose(self, number: int, size: int, reason: str) -> None:
        self._books.dropped[reason] += 1
        self._mark_lost(number, number)
        self._note_loss(reason, 1, size)

    def _note_loss(self, reason: str, count: int, size: int) -> None:
        if count == 0:
            return
        now = time.time()
        loss = self._losses.setdefault(reason, Loss(reason, 0, 0, now, now))
        loss.count += count
        loss.bytes += size
        loss.last_at = now

    def _mark_lost(self, first: int, last: int) -> None:
        low, high = self._lost or (first, last)
        self._lost = (min(low, first), max(high, last))

    def _oldest_unsettled(self) -> int:
        if self._in_flight:
            return self._in_flight[0].number
        oldest = self._queue.oldest
        return self._books.accepted + 1 if oldest is None else oldest.number

    def _tell_waiters(self) -> None:
        oldest = self._oldest_unsettled()
        done = [waiter for waiter in self._waiters if waiter[0] < oldest]
        self._waiters = [waiter for waiter in self._waiters if waiter[0] >= oldest]
        for _, on_settled in done:
            on_settled()

    def _has_thread(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _ensure_thread(self) -> None:
        """Start the thread if there is none. Where none can be started, which an ending interpreter
        may refuse, the items wait for :meth:`flush`, which writes them on its caller's thread."""
        if self._has_thread() or time.monotonic() < self._start_again_at:
            return
        thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            self._start_again_at = time.monotonic() + _RESTART_SECONDS
        else:
            self._thread = thread

    # -- the thread's side -----------------------------------------------------------------------

    def _run(self) -> None:
        self.thread_id = threading.get_ident()
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
            with self._locked():
                if self._stopping and not len(self._queue) and not self._in_flight:
                    self._thread = None
                    self._room.notify_all()
                    return

    def _work_here(self, target: int, give_up_at: float) -> None:
        """Write what waits up to *target* on the calling thread, for there is no other."""
        self.thread_id = threading.get_ident()
        try:
            while self._oldest_unsettled() <= target and time.monotonic() < give_up_at:
                if not self._take_batch(wait=False) or not self._deliver(give_up_at):
                    return
        finally:
            self.thread_id = 0

    def _take_batch(self, *, wait: bool) -> bool:
        with self._locked():
            if self._in_flight:  # of a thread that died, or gave up: it is still the oldest
                return True
            while wait and (left := self._seconds_until_due()) != 0:
                if left is None and self._stopping:
                    return False
                self._wait(self._work, left)
            self._in_flight = self._queue.take(self._limits.batch_size, self._limits.batch_bytes)
            self._room.notify_all()
            return bool(self._in_flight)

    def _seconds_until_due(self) -> float | None:
        """Return how long until a batch must begin: 0 for now, None for never as things are."""
        oldest = self._queue.oldest
        if oldest is None:
            return None
        limits = self._limits
        if (
            len(self._queue) >= limits.batch_size
            or self._queue.bytes >= limits.batch_bytes
            or oldest.number <= self._flush_to
            or self._stopping
        ):
            return 0
        return max(0.0, oldest.accepted_at + limits.flush_interval - time.monotonic())

    def _deliver(self, give_up_at: float | None) -> bool:
        """Write the batch in flight, as often as it takes; False if the time was over first."""
        items = [entry.item for entry in self._in_flight]
        attempt = 0
        while True:
            attempt += 1
            try:
                outcome = self._write(items, attempt)
                if sum(outcome[:4]) != len(items):
                    raise ValueError(f"{outcome} does not say what became of each of {len(items)} items")
            except BaseException as exc:
                self._note_failure(exc, len(items), attempt)
            else:
                self._settle(outcome)
                return True
            pause = self._jitter.uniform(0, min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2**attempt))
            if give_up_at is not None and time.monotonic() + pause >= give_up_at:
                return False
            time.sleep(pause)

    def _note_failure(self, exc: BaseException, count: int, attempt: int) -> None:
        with self._locked():
            self._books.retries += 1
        with contextlib.suppress(BaseException):  # the thread outlives whatever a callback does
            self._on_failure(exc, count, attempt)

    def _settle(self, outcome: Outcome) -> None:
        with self._locked():
            books = self._books
            books.committed += outcome.committed
            books.duplicate += outcome.duplicate
            books.dead_lettered += outcome.dead_lettered
            books.id_conflict += outcome.id_conflict
            if outcome.committed:
                books.last_commit_at = time.time()
            if outcome.dropped:
                books.dropped[UNSTORABLE] += outcome.dropped
                self._note_loss(UNSTORABLE, outcome.dropped, 0)
            if outcome.dead_lettered or outcome.dropped:
                self._mark_lost(self._in_flight[0].number, self._in_flight[-1].number)
            self._in_flight = []
            self._tell_waiters()


def _is_on_event_loop() -> bool:
    asyncio = sys.modules.get("asyncio")  # not imported: then there is no loop
    return asyncio is not None and asyncio._get_running_loop() is not None
