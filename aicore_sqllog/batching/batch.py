"""
The items that are being written, and how far that is; imports only the standard library and the queue beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from aicore_sqllog.batching.queue import Entry

__all__ = ["Batch"]

T = TypeVar("T")


@dataclass(slots=True)
class Batch(Generic[T]):
    """
    A batch in flight: taken out of the queue, and not settled.

    It outlives the thread that takes it, so that another goes on where that one ended.
    """

    items: list[T]
    first: int
    """The number of its oldest item."""
    last: int
    bytes: int
    accepted_at: float
    """When its oldest item was accepted (monotonic seconds)."""
    attempts: int = 0
    """How many attempts to write it there were, by whatever thread."""
    is_prepared: bool = False
    prepared: Any = None
    """What the sink made of the items, once; each attempt writes that."""

    @classmethod
    def of(cls, entries: Sequence[Entry[T]]) -> "Batch[T]":
        """Return the batch of *entries*, at least one."""
        size = sum(entry.size for entry in entries)
        items = [entry.item for entry in entries]
        return cls(items, entries[0].number, entries[-1].number, size, entries[0].accepted_at)
