"""
A queue with bounds of items and bytes, whose oldest items can be made lighter before any is dropped.

Knows nothing of its items, takes no lock (its owner does), and imports only the standard library and its packed memory.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from aicore_sqllog.batching.handoff import Arrival
from aicore_sqllog.batching.packed_memory import PackedMemory, Span

__all__ = ["BoundedQueue", "Entry", "Packing"]

T = TypeVar("T")

_BACKLOG_SHARE = 1 / 32
"""Of the bytes that may wait: past that packed parts go into the packed memory; before, the allocator is faster."""

_LEAST_PACKED = 512
_MOST_LIGHTENED_AT_ONCE = 300
"""What is made lighter for one item, within the call that brings it, must end."""


class Packing(Protocol[T]):
    """What a queue may do to the items that wait in it."""

    def lighten(self, item: T) -> tuple[T, int] | None:
        """Return a lighter form of *item* and its size in bytes, or None where there is none."""

    def unload(self, item: T) -> tuple[T, bytes] | None:
        """Return *item* without its packed part, and that; None if it has none."""

    def load(self, item: T, packed: bytes) -> T:
        """Return what was unloaded as it was."""


class Entry(NamedTuple, Generic[T]):
    """An item with its number, its size in bytes, and when it was accepted (monotonic seconds)."""

    number: int
    size: int
    accepted_at: float
    item: T
    packed: Span | None = None
    """Where its packed part is kept."""


_make_entry: Callable[[type[Entry[Any]], tuple[object, ...]], Entry[Any]] = tuple.__new__
"""What ``Entry(...)`` does, at a third of its cost: log calls pay for it."""


class BoundedQueue(Generic[T]):
    """
    Items in the order in which they came: the light ones, all older, then the whole ones.

    Args:
        max_items: How many may wait.

        max_bytes: How many bytes may wait; an item larger than that is taken alone.

        packing: Knows the items.
    """

    def __init__(self, max_items: int, max_bytes: int, packing: Packing[T]) -> None:
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._packing = packing
        self._light: deque[Entry[T]] = deque()
        self._whole: deque[Entry[T]] = deque()
        self._memory = PackedMemory(max_bytes)
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._light) + len(self._whole)

    @property
    def oldest(self) -> Entry[T] | None:
        """The item that has waited longest."""
        waiting = self._light or self._whole
        return waiting[0] if waiting else None

    def is_full_for(self, size: int, items: int = 1) -> bool:
        """Whether *items* more, of *size* bytes together, would be too much; one alone never is."""
        items += len(self)
        return items > 1 and (items > self._max_items or self.bytes + size > self._max_bytes)

    def has_plenty_for(self, size: int, items: int) -> bool:
        """Whether *items* more, of *size* bytes together, leave it far from its bounds, where nothing is packed."""
        return len(self) + items <= self._max_items and self.bytes + size <= self._max_bytes * _BACKLOG_SHARE

    def put_all(self, first: int, arrivals: Iterable[Arrival[T]], size: int) -> None:
        """Take *arrivals*, of *size* bytes together and numbered from *first*, as the newest."""
        entries = [
            _make_entry(Entry, (number, item_size, accepted_at, item, None))
            for number, (item, item_size, accepted_at, _) in enumerate(arrivals, first)
        ]
        self._whole.extend(entries)
        self.bytes += size

    def put(self, number: int, size: int, accepted_at: float, item: T) -> None:
        """Take *item* as the newest."""
        span = None
        if self.bytes > self._max_bytes * _BACKLOG_SHARE:
            item, span = self._pack(item)
        self._whole.append(Entry(number, size, accepted_at, item, span))
        self.bytes += size

    def pop(self) -> Entry[T]:
        """Remove and return the oldest."""
        return self._pop_from(self._light or self._whole)

    def lighten_for(self, size: int) -> int:
        """Make the oldest whole items lighter until *size* bytes more fit, or none is left; return how many were."""
        lightened = 0
        for _ in range(_MOST_LIGHTENED_AT_ONCE):
            if not self._whole or len(self) >= self._max_items or self.bytes + size <= self._max_bytes:
                break
            entry = self._pop_from(self._whole)
            item, new_size = self.lighter(entry.item, entry.size)
            lightened += new_size < entry.size
            self._light.append(Entry(entry.number, new_size, entry.accepted_at, item))
            self.bytes += new_size
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

    def recount(self) -> None:
        """Count the bytes anew."""
        self.bytes = sum(entry.size for entry in (*self._light, *self._whole))

    def lighter(self, item: T, size: int) -> tuple[T, int]:
        """Return a lighter form of *item* and its size, or both as they are where there is none."""
        try:
            found = self._packing.lighten(item)
        except Exception:  # whatever it is about, it costs no item
            return item, size
        return (item, size) if found is None or found[1] >= size else found

    def _pack(self, item: T) -> tuple[T, Span | None]:
        """Put the packed part of *item* into the packed memory, where there is room."""
        unloaded = self._packing.unload(item)
        if unloaded is None or len(unloaded[1]) < _LEAST_PACKED:
            return item, None
        span = self._memory.put(unloaded[1])
        return (item, None) if span is None else (unloaded[0], span)

    def _pop_from(self, waiting: deque[Entry[T]]) -> Entry[T]:
        entry = waiting.popleft()
        self.bytes -= entry.size
        if entry.packed is None:
            return entry
        item = self._packing.load(entry.item, self._memory.pop(entry.packed))
        return Entry(entry.number, entry.size, entry.accepted_at, item)
