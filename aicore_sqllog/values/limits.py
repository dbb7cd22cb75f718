"""
How much of one record's values may be read: the only place that owns these limits.

Depth alone bounds nothing: nine lists of ten, each holding the next ten times, are a thousand million values.
"""

import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from time import monotonic

__all__ = ["ALWAYS_KEPT", "JSON_DEPTH", "MAX_BYTES", "MAX_DEPTH", "MAX_VALUES", "Budget", "LeftOut"]

MAX_VALUES = 200_000
"""Values of one record, containers and what they hold; a list of its own may have half as many."""

MAX_BYTES = 64 * 2**20
"""Bytes of the texts of one record; a text of its own may have half as many."""

MAX_DEPTH = 200
JSON_DEPTH = 28
"""MariaDB reads 32 levels of JSON, and up to three of ours stand around a value."""

MAX_SECONDS = 1.0
"""For the application's own code, that of lazy sequences and mappings, which may take any time for each item."""

_TOO_SLOW = "<what follows was left out: it took too long to read>"

ALWAYS_KEPT = 1_024
"""Bytes of a text that is kept whatever is left: names and the like are never cut."""


class LeftOut(str):
    """The text that stands in the place of what was left out; a class of its own, so that it can be counted."""

    __slots__ = ()


class Budget:
    """
    What may still be read of one record's values.

    Whatever is large takes at most half of what is left, so that something is left for what comes after it.
    """

    __slots__ = ("_deadline", "_max_bytes", "_max_values", "bytes", "places", "values")

    def __init__(self, values: int = MAX_VALUES, max_bytes: int = MAX_BYTES) -> None:
        self._max_values, self._max_bytes = values, max_bytes
        self.values, self.bytes = values, max_bytes
        self.places = 0
        """How many places there are where something was left out."""
        self._deadline: float | None = None

    @property
    def values_read(self) -> int:
        """How many values were taken."""
        return self._max_values - self.values

    @property
    def bytes_read(self) -> int:
        """How many bytes of text were taken."""
        return self._max_bytes - self.bytes

    def take_all(self, count: int) -> bool:
        """Take *count* values, if there may be so many."""
        if count + count > self.values + 1:
            return False
        self.values -= count
        return True

    def take(self, count: int) -> int:
        """Take *count* values; return how many of them there may be."""
        taken = min(count, (self.values + 1) // 2)
        self.values -= taken
        return taken

    def take_foreign(self, items: Iterable[object]) -> Iterator[object]:
        """Yield of *items*, whose class is the application's, what may be read; then a marker if there were more."""
        if self._deadline is None:
            self._deadline = monotonic() + MAX_SECONDS
        if monotonic() > self._deadline + MAX_SECONDS:  # each of many waiting could make more, for ever
            yield LeftOut(_TOO_SLOW)
            return
        most, iterator = (self.values + 1) // 2, iter(items)
        for item in islice(iterator, most):
            yield item
            self.values -= 1
            if monotonic() > self._deadline:
                yield LeftOut(_TOO_SLOW)
                return
        for _ in islice(iterator, 1):
            yield LeftOut("<what follows was left out: it is too large>")

    def fit(self, text: str) -> str:
        """Return *text*, cut where it is too long."""
        size = sys.getsizeof(text)
        if size > ALWAYS_KEPT and size > self.bytes // 2:
            kept = max(ALWAYS_KEPT // 4, len(text) * (self.bytes // 2) // size)
            self.places += 1
            text = LeftOut(f"{text[:kept]}…<{len(text) - kept} more characters were left out>")
            size = sys.getsizeof(text)
        self.bytes -= size
        return text

    def fit_bytes(self, data: bytes) -> bytes:
        """Return *data*, cut where it is too long."""
        if len(data) > ALWAYS_KEPT and len(data) > self.bytes // 2:
            data = data[: self.bytes // 2]
            self.places += 1
        self.bytes -= len(data)
        return data
