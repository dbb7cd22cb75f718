"""
Readers that are kept for the next call with the same connection, the most recently used ones.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from aicore_sqllog.process import hooks
from aicore_sqllog.storage.connection import Place

__all__ = ["ReaderCache"]

R = TypeVar("R")


class ReaderCache(Generic[R]):
    """
    At most *size* readers, each for one place; a new one takes the place of the one that was not used for longest.

    Args:
        make: Makes a reader for a place.

        drop: Closes one that is no longer kept. It must wait for nothing that uses the reader.

        size: How many are kept.
    """

    def __init__(self, make: Callable[[Place], R], drop: Callable[[R], object], size: int = 16) -> None:
        self._make = make
        self._drop = drop
        self._size = size
        self._readers: OrderedDict[Place, R] = OrderedDict()
        self._lock = threading.Lock()
        hooks.in_child(hooks.Child.STATE, self.renew_lock)

    def get(self, place: Place) -> R:
        """Return the reader for *place*; one for a lent engine is not kept, because its lender may close it."""
        if place.borrowed is not None:
            return self._make(place)
        with self._lock:
            reader = self._readers.pop(place, None)
            reader = self._readers[place] = self._make(place) if reader is None else reader
            dropped = [self._readers.popitem(last=False)[1] for _ in range(len(self._readers) - self._size)]
        for one in dropped:
            self._drop(one)
        return reader

    def renew_lock(self) -> None:
        """In a forked child: a thread of the parent may have held the lock, and is not there to release it."""
        self._lock = threading.Lock()
