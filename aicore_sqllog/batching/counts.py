"""
What became of everything that was accepted, and what was lost; imports only the standard library.

Knows no lock: whoever counts holds one.
"""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from uuid import uuid4

__all__ = ["EVENT_LOOP", "LIGHTENED", "QUEUE_FULL", "UNSTORABLE", "UNTAKEN", "Counts", "Loss", "Losses", "Outcome"]

LIGHTENED = "content"
"""The reason under which items that were made lighter are noted; they are not dropped."""

UNTAKEN = "untaken"
"""The reason for a record with which the log call itself met an error."""

UNSTORABLE = "unstorable"
"""The reason for what could be neither stored nor kept elsewhere."""


QUEUE_FULL = "queue_full"
"""The reason for what found no room."""

EVENT_LOOP = "event_loop"
"""The reason for what found no room on a running event loop, which must not wait for it."""


class Outcome(NamedTuple):
    """What became of a batch that needs no further attempt; all but the last add up to its items."""

    committed: int
    duplicate: int = 0
    dead_lettered: int = 0
    dropped: int = 0
    """Could be neither stored nor put to the dead letters."""
    id_conflict: int = 0
    """Of those committed: stored under an id of their own, because the one asked for was taken."""

    @property
    def items(self) -> int:
        """How many items it accounts for."""
        return self.committed + self.duplicate + self.dead_lettered + self.dropped


@dataclass(slots=True)
class Loss:
    """What was lost for one reason within a time; the times are seconds since 1970."""

    reason: str
    count: int
    bytes: int
    first_at: float
    last_at: float
    loss_id: str = field(default_factory=lambda: str(uuid4()))
    """A UUID, so that a loss that is stored again is recognised."""

    @classmethod
    def now(cls, reason: str, count: int, size: int = 0) -> "Loss":
        """Return a loss of this moment."""
        moment = time.time()
        return cls(reason, count, size, moment, moment)


class Losses:
    """What was lost, by reason, until it is taken to be stored."""

    def __init__(self) -> None:
        self._by_reason: dict[str, Loss] = {}
        self._returned: list[Loss] = []

    def __bool__(self) -> bool:
        """Whether anything has yet to be stored."""
        return bool(self._by_reason or self._returned)

    def note(self, reason: str, count: int, size: int = 0) -> None:
        """Add *count* items of *size* bytes together."""
        if not count:
            return
        loss = self._by_reason.get(reason)
        if loss is None:
            self._by_reason[reason] = Loss.now(reason, count, size)
            return
        loss.count += count
        loss.bytes += size
        loss.last_at = time.time()

    def take(self) -> list[Loss]:
        """
        Return what was lost since this was called last; what was given back before all else.

        So at most two losses are kept for a reason, however long they cannot be stored.
        """
        if self._returned:
            taken, self._returned = self._returned, []
            return taken
        found, self._by_reason = self._by_reason, {}
        return list(found.values())

    def give_back(self, losses: Iterable[Loss]) -> None:
        """Keep *losses*, which could not be stored, as they are: one of them may be stored after all."""
        self._returned = list(losses)


@dataclass(slots=True)
class Counts:
    """
    What became of everything that was accepted::

        accepted == committed + duplicate + dead_lettered + dropped + pending
    """

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

    @property
    def settled(self) -> int:
        """How many items need no further attempt."""
        return self.committed + self.duplicate + self.dead_lettered + self.dropped.total()

    def settle(self, outcome: Outcome) -> None:
        """Count what became of a batch."""
        self.committed += outcome.committed
        self.duplicate += outcome.duplicate
        self.dead_lettered += outcome.dead_lettered
        self.id_conflict += outcome.id_conflict
        if outcome.dropped:
            self.dropped[UNSTORABLE] += outcome.dropped
        if outcome.committed:
            self.last_commit_at = time.time()

    def copy(self, **now: Any) -> "Counts":
        """Return a copy, with the figures that hold *now*."""
        return replace(self, dropped=Counter(self.dropped), **now)
