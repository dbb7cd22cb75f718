"""
A queue with bounds of items and bytes, whose oldest items can be made lighter before any is dropped.

Knows nothing of its cargo, takes no lock (its owner does), and imports only the standard library.
"""

from collections import deque
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

__all__ = ["BoundedQueue", "Entry"]

T = TypeVar("T")


class Entry(NamedTuple, Generic[T]):
    """An item with its number, its size in bytes, and when it was accepted (monotonic seconds)."""

    number: int
    size: int
    accepted_at: float
    item: T


class BoundedQueue(Generic[T]):
    """
    Items in the order in which they came: the light ones, all older, then the whole ones.

    Args:
        max_items: How many may wait.

        max_bytes: How many bytes may wait; an item larger than that is taken alone.

        lighten: Returns a lighter form of an item and its size, or None where there is none.
    """

    def __init__(self, max_items: int, max_bytes: int, lighten: Callable[[T], tuple[T, int] | None]) -> None:
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._lighten = lighten
        self._light: deque[Entry[T]] = deque()
        self._whole: deque[Entry[T]] = deque()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._light) + len(self._whole)

    @property
    def oldest(self) -> Entry[T] | None:
        """The item that has waited longest."""
        waiting = self._light or self._whole
        return waiting[0] if waiting else None

    def is_full_for(self, size: int) -> bool:
        """Whether one more item of *size* bytes would be too much."""
        return len(self) > 0 and (len(self) >= self._max_items or self.bytes + size > self._max_bytes)

    def put(self, number: int, size: int, accepted_at: float, item: T) -> None:
        """Take *item* as the newest."""
        self._whole.append(Entry(number, size, accepted_at, item))
        self.bytes += size

    def pop(self) -> Entry[T]:
        """Remove and return the oldest."""
        entry = (self._light or self._whole).popleft()
        self.bytes -= entry.size
        return entry

    def lighten_for(self, size: int) -> int:
        """Make the oldest whole items lighter until *size* bytes more fit, or none is left; return how many were."""
        lightened = 0
        while self._whole and len(self) < self._max_items and self.bytes + size > self._max_bytes:
            entry = self._whole.popleft()
            lighter = self._lighten(entry.item)
            if lighter is not None and lighter[1] < entry.size:
                item, new_size = lighter
                self.bytes += new_size - entry.size
                entry = Entry(entry.number, new_size, entry.accepted_at, item)
                lightened += 1
            self._light.append(entry)
        return lightened

    def take(self, max_items: int, max_bytes: int) -> list[Entry[T]]:
        """Remove and return the oldest: at least one, and no more than both bounds allow."""
        taken: list[Entry[T]] = []
        size = 0
        while (oldest := self.oldest) is not None and len(taken) < max_items:
            if taken and size + oldest.size > max_bytes:
                break
            taken.append(self.pop())
            size += oldest.size
        return taken
