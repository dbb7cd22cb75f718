"""
The life of a process, for all handlers in it: its end, within one deadline, and its forks.

Knows of a handler only that it can flush; holds all of them weakly. When these are called: see ``hooks.py``.
"""

import contextlib
import time
import weakref
from collections.abc import Iterator
from typing import Protocol

from aicore_sqllog.process import hooks
from aicore_sqllog.process.notices import Tell

__all__ = ["Ending", "Living", "flush_all", "is_ending", "say", "waiting", "watch"]


class Living(Protocol):
    """A handler, as seen from here."""

    @property
    def shutdown_timeout(self) -> float: ...
    def flush(self, timeout: float | None = None) -> bool: ...
    def begin_flush(self) -> None:
        """Have what waits written now, and wait for nothing."""

    def finish(self) -> None:
        """At the end of the process: write what waits, and say what could not be stored."""

    @property
    def tell(self) -> Tell:
        """How a person is told, as the handler's owner wants it."""

    def restart_in_child(self) -> None:
        """In a forked child: begin anew, and leave queue, thread and connections to the parent."""


_LIVE: "weakref.WeakSet[Living]" = weakref.WeakSet()


def watch(handler: Living) -> None:
    """Have *handler* finished at the end of the process, and begin anew in a forked child, as long as it lives."""
    _LIVE.add(handler)


def say(reason: str, text: str) -> None:
    """Tell a person something that is no handler's alone, once each way that a handler has; nobody where none lives."""
    for tell in {handler.tell for handler in _living()}:
        with contextlib.suppress(Exception):  # there may be no stderr, or a fault in the application's function
            tell(reason, text)


def flush_all() -> None:
    """Flush every handler of this process, all at once, each within its ``shutdown_timeout``."""
    handlers = _living()
    started_at = time.monotonic()
    for handler in handlers:
        handler.begin_flush()
    for handler in handlers:
        handler.flush(started_at + handler.shutdown_timeout - time.monotonic())


def is_ending() -> bool:
    """Whether the process is at its end: nothing will come by later to write what is logged now."""
    return Ending.seconds_left is not None


@contextlib.contextmanager
def waiting(seconds: float) -> Iterator[float]:
    """
    Yield how long may be waited: *seconds*; at the end of the process no more than what is left of the time for that.

    What others do between our waits is not taken off it: a callback that logs late has its record stored.
    """
    if Ending.seconds_left is None:
        yield seconds
        return
    began_at = time.monotonic()
    try:
        yield max(0.0, min(seconds, Ending.seconds_left))
    finally:
        Ending.seconds_left -= time.monotonic() - began_at


class Ending:
    """The end of the process: one time for all that is waited for in it."""

    seconds_left: float | None = None
    """None before the end; each log call asks."""


def _living() -> list[Living]:
    for _ in range(100):
        try:
            return list(_LIVE)
        except RuntimeError:  # another thread makes a handler just now
            continue
    return []


def _finish_all() -> None:
    # Also a handler that an application's later dictConfig has taken off logging's own list is finished here.
    handlers = _living()
    if Ending.seconds_left is None:
        Ending.seconds_left = max((handler.shutdown_timeout for handler in handlers), default=0.0)
    for handler in handlers:  # all at once: one whose database is away leaves the others their time
        handler.begin_flush()
    for handler in handlers:
        handler.finish()


def _restart_all_in_child() -> None:
    Ending.seconds_left = None
    for handler in _living():
        handler.restart_in_child()


hooks.at_end(hooks.End.HANDLERS, _finish_all)
hooks.in_child(hooks.Child.HANDLERS, _restart_all_in_child)
