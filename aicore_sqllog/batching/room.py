"""
Log calls that wait until a full queue has room again; imports only the standard library and what lies beside it.

Knows no lock: whoever calls holds one, but for :meth:`Room.wait`.
"""

import sys
from collections.abc import Callable

from aicore_sqllog.batching.clock import monotonic
from aicore_sqllog.batching.wakeup import Wakeup

__all__ = ["Room", "is_on_event_loop"]


class Room:
    """Who waits for room. Each has a wakeup of its own, so that nobody waits inside a lock."""

    def __init__(self) -> None:
        self._waiting: list[Wakeup] = []

    @property
    def is_awaited(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting)

    def queue_up(self) -> Wakeup:
        """Begin to wait."""
        turn = Wakeup()
        self._waiting.append(turn)
        return turn

    def leave(self, turn: Wakeup) -> None:
        """End what :meth:`queue_up` began."""
        self._waiting.remove(turn)

    def tell(self) -> None:
        """Have all who wait look again."""
        for turn in self._waiting:
            turn.set()

    @staticmethod
    def wait(turn: Wakeup, seconds: float, has_room: Callable[[], bool], ask: Callable[[], None]) -> bool:
        """
        Wait until *has_room*; return whether it was so within *seconds*.

        Args:
            turn: From :meth:`queue_up`.

            seconds: How long at most.

            has_room: Asked at the beginning, and whenever the queue got shorter.

            ask: Called before each wait; wakes the thread that makes room.
        """
        give_up_at = monotonic() + seconds
        while not has_room():
            left = give_up_at - monotonic()
            if left <= 0:
                return False
            ask()
            turn.wait(left)
        return True


def is_on_event_loop() -> bool:
    """Return whether this thread runs an event loop, which must not wait."""
    asyncio = sys.modules.get("asyncio")  # not imported: then there is no loop
    return asyncio is not None and asyncio._get_running_loop() is not None
