"""
What wakes a waiting thread: set by any thread, from anywhere, without waiting; standard library only.
"""

import contextlib
import threading

__all__ = ["Wakeup"]


class Wakeup:
    """
    Wakes one thread that waits. Set before it waits it is not lost, and set several times it counts once.

    Neither a condition nor an event would do: a condition is waited for inside a lock, and an event has a lock of its
    own, which a signal handler that interrupts the waiting thread may find taken.
    """

    def __init__(self) -> None:
        self._unset = threading.Lock()
        self._unset.acquire()

    def set(self) -> None:
        """Wake the thread that waits, or the next one that will."""
        if self._unset.locked():
            with contextlib.suppress(RuntimeError):  # another thread was faster
                self._unset.release()

    def wait(self, timeout: float | None) -> bool:
        """Wait until it is set, or until *timeout* seconds are over; return whether it was set."""
        return self._unset.acquire(timeout=-1 if timeout is None else max(0.0, timeout))
