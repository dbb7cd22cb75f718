"""
Who waits until all up to a number is settled, and which losses have yet to be told; standard library only.

Knows no lock: its owner holds one.
"""

from collections.abc import Callable
from typing import NamedTuple

__all__ = ["Flush", "Flushes"]


class Flush(NamedTuple):
    """One flush: waits for all items up to *target*, and is told once by *on_settled*, on whatever thread."""

    target: int
    on_settled: Callable[[], None]
    may_wait: bool = True
    """False where the caller interrupted itself inside the buffer's lock: nothing can be settled while it waits."""


class Flushes:
    """Items are numbered in the order in which they were accepted; a flush waits for all up to its target."""

    def __init__(self) -> None:
        self._waiting: list[Flush] = []
        self._lost: tuple[int, int] | None = None
        self.target = 0
        """Up to here somebody wanted it written at once."""
        self.count = 0
        """How many flushes there were."""

    def __bool__(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting)

    def begin(self, flush: Flush) -> None:
        """Call *flush.on_settled*, once, when all up to its target is settled."""
        self.count += 1
        self.target = max(self.target, flush.target)
        self._waiting.append(flush)

    def tell(self, oldest_unsettled: int) -> None:
        """Call those for whom all is settled."""
        done = [flush for flush in self._waiting if flush.target < oldest_unsettled]
        if done:
            self._waiting = [flush for flush in self._waiting if flush.target >= oldest_unsettled]
            for flush in done:
                flush.on_settled()

    def end(self, flush: Flush, oldest_unsettled: int) -> bool:
        """Return whether all up to the target is stored, and wait no longer. A loss is told to one flush only."""
        self._waiting = [waiting for waiting in self._waiting if waiting is not flush]
        if self._lost is None or self._lost[0] > flush.target:
            return oldest_unsettled > flush.target
        self._lost = (flush.target + 1, self._lost[1]) if self._lost[1] > flush.target else None
        return False

    def lose(self, first: int, last: int) -> None:
        """Note that some of the items from *first* to *last* were lost."""
        low, high = self._lost or (first, last)
        self._lost = (min(low, first), max(high, last))
