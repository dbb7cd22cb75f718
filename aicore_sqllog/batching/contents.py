"""
What a buffer holds: the queue, the batch in flight, the counts, the losses and the flushes, and the policy over them.

Knows no lock and no thread: its owner holds the one and wakes the other. Imports only the standard library and what
lies beside it.
"""

from collections.abc import Sequence
from typing import Generic, TypeVar, assert_never

from aicore_sqllog.batching.batch import Batch
from aicore_sqllog.batching.clock import monotonic
from aicore_sqllog.batching.counts import LIGHTENED, QUEUE_FULL, Counts, Losses, Outcome
from aicore_sqllog.batching.flushes import Flushes
from aicore_sqllog.batching.handoff import Arrival
from aicore_sqllog.batching.limits import Limits
from aicore_sqllog.batching.queue import BoundedQueue, Packing

__all__ = ["Contents"]

T = TypeVar("T")

_LARGE_SHARE = 16
"""An item is large for a full queue that takes more than this part of it."""


class Contents(Generic[T]):
    """Everything that was accepted and is not settled, and what became of the rest."""

    def __init__(self, limits: Limits, packing: Packing[T]) -> None:
        self._limits = limits
        self.queue: BoundedQueue[T] = BoundedQueue(limits.queue_size, limits.queue_bytes, packing)
        self.in_flight: Batch[T] | None = None
        self.counts = Counts()
        self.losses = Losses()
        self.flushes = Flushes()

    def admit(self, arrivals: Sequence[Arrival[T]]) -> int:
        """
        Accept the first of *arrivals*, or all of them at once where there is room; return how many that were.

        A record that is accepted goes into the queue, or is dropped where the policy says so.
        """
        size = sum(arrival[1] for arrival in arrivals)
        if self.queue.has_plenty_for(size, len(arrivals)):
            first = self.counts.accepted + 1
            self.queue.put_all(first, arrivals, size)
            self.counts.accepted += len(arrivals)
            return len(arrivals)
        self._admit_one(*arrivals[0])
        return 1

    def _admit_one(self, item: T, size: int, accepted_at: float, refused: str | None) -> None:
        if size > self._limits.queue_bytes // _LARGE_SHARE and self.queue.is_full_for(size):
            # Else many others would lose theirs for this one's messages.
            whole = size
            item, size = self.queue.lighter(item, size)
            self.losses.note(LIGHTENED, int(size < whole))
        refused = self._make_room(size, refused)
        number = self.counts.accepted + 1
        if refused is None:
            self.queue.put(number, size, accepted_at, item)
            self.counts.accepted = number
        else:
            self.counts.accepted = number
            self.drop(number, size, refused)

    def recount(self) -> int:
        """Put the counts in order after an interruption in the middle; return how many were accepted."""
        self.queue.recount()
        in_flight = len(self.in_flight.items) if self.in_flight else 0
        self.counts.accepted = self.counts.settled + len(self.queue) + in_flight
        return self.counts.accepted

    def drop(self, number: int, size: int, reason: str) -> None:
        """Count an item as dropped, and tell those who wait for it."""
        self.counts.dropped[reason] += 1
        self.losses.note(reason, 1, size)
        self.flushes.lose(number, number)
        if self.flushes:
            self.flushes.tell(self.oldest_unsettled)

    def take(self) -> Batch[T]:
        """Take the oldest items, of which there is at least one, as the batch in flight."""
        self.in_flight = Batch.of(self.queue.take(self._limits.batch_size, self._limits.batch_bytes))
        return self.in_flight

    def settle(self, outcome: Outcome) -> None:
        """Count what became of the batch in flight, and tell those who wait for it."""
        batch = self.in_flight
        if batch is None:
            return
        self.counts.settle(outcome)
        if outcome.dead_lettered or outcome.dropped:
            self.flushes.lose(batch.first, batch.last)
        self.in_flight = None
        self.flushes.tell(self.oldest_unsettled)

    def counts_now(self, after: Outcome | None = None) -> Counts:
        """Return a copy of the counts with the figures of this moment; with *after*, as if the batch had ended so."""
        batch = self.in_flight if after is None else None
        oldest_at = batch.accepted_at if batch else self.queue.oldest.accepted_at if self.queue.oldest else None
        counts = self.counts.copy(
            pending=len(self.queue) + (len(batch.items) if batch else 0),
            pending_bytes=self.queue.bytes + (batch.bytes if batch else 0),
            oldest_age=0.0 if oldest_at is None else monotonic() - oldest_at,
        )
        if after is not None:
            counts.settle(after)
        return counts

    @property
    def oldest_unsettled(self) -> int:
        """The number of the oldest item that is not settled; the next one's where all are."""
        if self.in_flight is not None:
            return self.in_flight.first
        oldest = self.queue.oldest
        return self.counts.accepted + 1 if oldest is None else oldest.number

    def seconds_until_due(self) -> float | None:
        """Return how long until a batch must begin: 0 for now, None for never as things are."""
        oldest = self.queue.oldest
        if oldest is None:
            return None
        if self.is_batch_full or oldest.number <= self.flushes.target:
            return 0
        return max(0.0, oldest.accepted_at + self._limits.flush_interval - monotonic())

    @property
    def is_batch_full(self) -> bool:
        """Whether there is enough for a batch, or so much that the queue would be full before there is."""
        limits = self._limits
        return len(self.queue) >= min(limits.batch_size, limits.queue_size) or self.queue.bytes >= min(
            limits.batch_bytes, limits.queue_bytes // 2
        )

    def is_room_scarce(self, items: int, size: int) -> bool:
        """Whether *items* more, of *size* bytes together, might go past the bounds."""
        return len(self.queue) + items > self._limits.queue_size or self.queue.bytes + size > self._limits.queue_bytes

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
                self.drop(oldest.number, oldest.size, QUEUE_FULL)
        elif policy != "drop_newest" and policy != "block":
            assert_never(policy)
        return (refused or QUEUE_FULL) if queue.is_full_for(size) else None
