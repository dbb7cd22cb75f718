"""
Where log calls leave their items: they append and go; whoever holds the buffer's lock takes them in.

Imports only the standard library and what lies beside it.
"""

from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeAlias, TypeVar

from aicore_sqllog.batching.limits import Limits

__all__ = ["MOST_WAITING", "Arrival", "HandOff"]

T = TypeVar("T")

Arrival: TypeAlias = tuple[T, int, float, str | None]
"""An item, its size in bytes, when it was accepted (monotonic seconds), and why there will be no room for it, if so."""

MOST_WAITING = 64
"""So many items may be handed off and not be taken in."""

_LARGE_BYTES = 16 * 1024
"""An item of more bytes is taken in at once: together they are at most 64 items and 1 MiB past the bounds."""


class HandOff(Generic[T]):
    """Items in the order in which they came. Appending to ``arrivals`` takes no lock and may happen anywhere."""

    def __init__(self, limits: Limits) -> None:
        self.arrivals: deque[Arrival[T]] = deque()
        self.large_bytes = min(_LARGE_BYTES, limits.batch_bytes // MOST_WAITING)
        """The log call that brings an item of more bytes takes in."""
        self._admitted: Sequence[Arrival[T]] = ()

    def first(self, most: int) -> list[Arrival[T]]:
        """Return the oldest that stand here and are not admitted, *most* at most."""
        self.remove_admitted()
        if len(self.arrivals) <= most:
            return list(self.arrivals)[:most]
        # By index: an iterator would not outlive what a signal handler appends meanwhile.
        return [self.arrivals[number] for number in range(most)]

    def note_admitted(self, admitted: Sequence[Arrival[T]]) -> None:
        """Remember that *admitted*, the oldest that stand here, are; whatever interrupts their removal."""
        self._admitted = admitted

    def remove_admitted(self) -> None:
        """Remove those that are admitted. A Ctrl-C anywhere in here leaves what the next call can go on from."""
        arrivals, admitted = self.arrivals, self._admitted
        if admitted and arrivals and arrivals[0] is admitted[0]:  # none is removed yet
            for _ in admitted:
                arrivals.popleft()
        else:
            for arrival in admitted:
                if arrivals and arrivals[0] is arrival:
                    arrivals.popleft()
        self._admitted = ()
