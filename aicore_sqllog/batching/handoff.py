"""
Where log calls leave their items: they append and go; whoever holds the buffer's lock takes them in.

Imports only the standard library and what lies beside it.
"""

from collections import deque
from typing import Generic, NamedTuple, TypeVar

from aicore_sqllog.batching.clock import monotonic
from aicore_sqllog.batching.limits import Limits

__all__ = ["MOST_WAITING", "Arrival", "HandOff"]

T = TypeVar("T")

MOST_WAITING = 64
"""So many items may be handed off and not be taken in."""

_LARGE_BYTES = 16 * 1024
"""An item of more bytes is taken in at once: together they are at most 64 items and 1 MiB past the bounds."""


class Arrival(NamedTuple, Generic[T]):
    """An item that was handed off; ``refused`` says why there will be no room for it."""

    item: T
    size: int
    accepted_at: float
    refused: str | None


class HandOff(Generic[T]):
    """Items in the order in which they came. Appending takes no lock and may happen anywhere."""

    def __init__(self, limits: Limits) -> None:
        self.arrivals: deque[Arrival[T]] = deque()
        self.large_bytes = min(_LARGE_BYTES, limits.batch_bytes // MOST_WAITING)
        """The log call that brings an item of more bytes takes in."""
        self.most_waiting = 1
        """The log call with which so many stand here takes in: fewer where these would make a batch full."""
        self.newest: Arrival[T] | None = None
        """The one that was taken in last, while it is still among the arrivals: a Ctrl-C may come between."""

    def append(self, item: T, size: int, refused: str | None = None) -> None:
        """Leave *item* to whoever takes in next."""
        self.arrivals.append(Arrival(item, size, monotonic(), refused))
