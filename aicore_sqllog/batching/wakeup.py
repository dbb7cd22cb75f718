"""
What wakes the worker's thread: rung by any thread, from anywhere, without waiting; standard library only.
"""

import contextlib
import threading

__all__ = ["Bell"]


class Bell:
    """
    Wakes one thread that waits for it. A ring before it waits is not lost, and several count as one.

    A condition would be waited for inside a lock, and what comes at the moment when it lets go of that is not seen.
    An event has a lock of its own: a signal handler that interrupts who waits would find it taken.
    """

    def __init__(self) -> None:
        self._silence = threading.Lock()
        self._silence.acquire()

    def ring(self) -> None:
        """Wake who waits, or who will wait next."""
        if self._silence.locked():
            with contextlib.suppress(RuntimeError):  # another thread was faster
                self._silence.release()

    def wait(self, timeout: float | None) -> bool:
        """Wait until it rings, or until *timeout* seconds are over; return whether it rang."""
        return self._silence.acquire(timeout=-1 if timeout is None else max(0.0, timeout))
