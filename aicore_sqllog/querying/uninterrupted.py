"""
Steps of asynchronous work that a cancellation waits for.
"""

import asyncio
from typing import Any, TypeVar

__all__ = ["Uninterrupted"]

T = TypeVar("T")


class Uninterrupted(asyncio.Task[T]):
    """
    A task that runs to its end, for what ends soon and leaves something behind if it is cut off half way.

    A driver that is cancelled while it connects loses the connection without closing it. Who awaits this task is
    cancelled when it is done; so is the loop, whose end cancels all tasks, and then waits for them.
    """

    def cancel(self, msg: Any | None = None) -> bool:
        """Refuse."""
        return False
