"""
What a fork must not interrupt: a fork waits until no thread is inside a guard.

A forked child has the locks of its parent but only one of its threads. A module that was being imported stays half
imported there for ever. SQLite, which does not know of forks, stays locked inside, and takes the file locks of its
parent's connections for its own. OpenSSL has locks of its own too, held while a connection is made. So our threads
import, connect and use SQLite inside a guard.
"""

import contextlib
import sys
import threading
import time
import weakref
from collections.abc import Callable
from types import TracebackType

from aicore_sqllog.process import hooks

__all__ = ["CONNECT_SECONDS", "IMPORTS", "ForkGuard"]

_LONGEST_WAIT_SECONDS = 5.0
"""A fork that had to wait longer goes on: a child that may not be able to log is better than none."""

CONNECT_SECONDS = 1.0
"""How long a fork waits for a connection to be made: longer than it takes, unless nobody answers."""


class ForkGuard:
    """
    Used with ``with`` by a thread that a fork must not interrupt; it may be entered again from within.

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
        _GUARDS.add(self)

    def __enter__(self) -> None:
        # A thread that is inside while the interpreter ends is stopped there for ever: nobody waits for it.
        if not self._lock.acquire(blocking=not sys.is_finalizing()):
            raise TimeoutError("the interpreter ends, and has stopped the thread that a fork must not interrupt")

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
        """Let threads in again."""
        self._lock.release()

    def renew(self) -> None:
        """In a child: let threads in, whoever was inside; that thread exists in the parent only."""
        self._lock = threading.RLock()


_GUARDS: "weakref.WeakSet[ForkGuard]" = weakref.WeakSet()

IMPORTS = ForkGuard()
"""Around what our threads import late."""

_forking = threading.local()
"""The guards that a thread closed for its fork."""


def _close_all() -> None:
    give_up_at = time.monotonic() + _LONGEST_WAIT_SECONDS
    # The others are made inside the first: only with that one closed are these all there are.
    _forking.closed = [IMPORTS] if IMPORTS.close(_LONGEST_WAIT_SECONDS) else []
    for guard in _GUARDS - {IMPORTS}:
        if guard.close(give_up_at - time.monotonic()):
            _forking.closed.append(guard)


def _open_all() -> None:
    for guard in _forking.closed:
        guard.open()
    _forking.closed = []


def _open_all_in_child() -> None:
    for guard in list(_GUARDS):
        if guard in _forking.closed:
            guard.open()
        else:
            guard.renew()
    _forking.closed = []


hooks.before_fork(_close_all)
hooks.in_parent(_open_all)
hooks.in_child(hooks.Child.GUARDS, _open_all_in_child)
