"""
What a fork must not interrupt: a fork waits until no thread is inside of it.

A forked child has the locks of its parent but only one of its threads. A module that was being imported stays
half imported there for ever, and SQLite, which does not know of forks, stays locked inside, and takes the file
locks of its parent's connections for its own. So our threads import and use SQLite inside a fence.
"""

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Callable
from types import TracebackType

__all__ = ["IMPORTS", "Fence"]

_LONGEST_WAIT_SECONDS = 5.0
"""A fork that had to wait longer goes on: a child that may not be able to log is better than none."""


class Fence:
    """
    Used with ``with`` by the thread that a fork must not interrupt; it may be entered again from within.

    Args:
        before_fork: Called on the forking thread before each fork, with nobody inside.
    """

    def __init__(self, before_fork: Callable[[], None] = lambda: None) -> None:
        self._before_fork = before_fork
        self._lock = threading.RLock()
        _FENCES.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def close(self, give_up_at: float) -> bool:
        """Wait until nobody is inside and let nobody in; return whether that was reached in time."""
        closed = self._lock.acquire(timeout=max(0.0, give_up_at - time.monotonic()))
        if closed:
            with contextlib.suppress(Exception):  # what it could not do, the child must live with
                self._before_fork()
        return closed

    def open(self) -> None:
        """Let in again."""
        self._lock.release()

    def renew(self) -> None:
        """In a child: forget who is inside, for he is not in this process."""
        self._lock = threading.RLock()


_FENCES: "weakref.WeakSet[Fence]" = weakref.WeakSet()

IMPORTS = Fence()
"""For what our threads import late."""

_forking = threading.local()
"""The fences that a thread closed for its fork."""


def _close_all() -> None:
    give_up_at = time.monotonic() + _LONGEST_WAIT_SECONDS
    _forking.closed = [fence for fence in list(_FENCES) if fence.close(give_up_at)]


def _open_all() -> None:
    for fence in _forking.closed:
        fence.open()
    _forking.closed = []


def _open_all_in_child() -> None:
    for fence in list(_FENCES):
        if fence in _forking.closed:
            fence.open()
        else:
            fence.renew()
    _forking.closed = []


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_close_all, after_in_parent=_open_all, after_in_child=_open_all_in_child)
