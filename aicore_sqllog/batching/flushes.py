"""
Who waits until all up to a number is settled, and which losses have yet to be told; standard library only.

Knows no lock: its owner holds one.
"""

from collections.abc import Callable

__all__ = ["Flushes"]

OnSettled = Callable[[], None]


class Flushes:
    """Items are numbered in the order in which they were accepted; a flush waits for all up to its target."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, OnSettled]] = []
        self._lost: tuple[int, int] | None = None
        self.target = 0
        """Up to here somebody wanted it written at once."""
        self.count = 0
        """How many flushes there were."""

    def __bool__(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting)

    def begin(self, target: int, on_settled: OnSettled) -> None:
        """Call *on_settled*, once, when all up to *target* is settled."""
        self.count += 1
        self.target = max(self.target, target)
        self._waiting.append((target, on_settled))

    def tell(self, oldest_unsettled: int) -> None:
        """Call those for whom all is settled."""
        done = [waiter for waiter in self._waiting if waiter[0] < oldest_unsettled]
        if done:
            self._waiting = [waiter for waiter in self._waiting if waiter[0] >= oldest_unsettled]
            for _, on_settled in done:
                on_settled()

    def end(self, target: int, on_settled: OnSettled, oldest_unsettled: int) -> bool:
        """Return whether all up to *target* is stored, and wait no longer. A loss is told to one flush only."""
        self._waiting = [waiter for waiter in self._waiting if waiter != (target, on_settled)]
        if self._lost is None or self._lost[0] > target:
            return oldest_unsettled > target
        self._lost = (target + 1, self._lost[1]) if self._lost[1] > target else None
        return False

    def lose(self, first: int, last: int) -> None:
        """Note that some of the items from *first* to *last* were lost."""
        low, high = self._lost or (first, last)
        self._lost = (min(low, first), max(high, last))
