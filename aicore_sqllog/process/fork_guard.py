"""
What a fork must not interrupt: a fork waits until no thread is inside of it.

A forked child has the locks of its parent but only one of its threads. A module that was being imported stays
half imported there for ever, and SQLite, which does not know of forks, stays locked inside, and takes the file
locks of its parent's connections for its own. OpenSSL has locks of its own too, that are held while a connection
is made. So our threads import, connect and use SQLite inside a fence.
"""

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Callable
from types import TracebackType

__all__ = ["CONNECT_SECONDS", "IMPORTS", "Fence"]

_LONGEST_WAIT_SECONDS = 5.0
"""A fork that had to wait longer goes on: a child that may not be able to log is better than none."""

CONNECT_SECONDS = 1.0
"""How long a fork waits for a connection to be made: longer than it takes, unless nobody answers."""


class Fence:
    """
    Used with ``with`` by the thread that a fork must not interrupt; it may be entered again from within.

    Args:
        before_fork: Called on the forking thread before each fork, with nobody inside.

        longest_wait: Seconds that a fork waits for it at most.
    """

    def __init__(
        self, before_fork: Callable[[], None] = lambda: None, longest_wait: float = _LONGEST_WAIT_SECONDS
    ) -> None:
        self._before_fork = before_fork
        self._longest_wait = longest_wait
        self._lock = threading.RLock()
        _FENCES.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def close(self, seconds: float) -> bool:
        """Wait until nobody is inside and let nobody in; return whether that was reached within *seconds*."""
        closed = self._lock.acquire(timeout=max(0.0, min(seconds, self._longest_wait)))
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
    # The others are made inside of the first: only then are these all.
    _forking.closed = [IMPORTS] if IMPORTS.close(_LONGEST_WAIT_SECONDS) else []
    for fence in _FENCES - {IMPORTS}:
        if fence.close(give_up_at - time.monotonic()):
            _forking.closed.append(fence)


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
