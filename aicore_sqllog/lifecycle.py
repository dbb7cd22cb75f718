"""
The life of a process, for all handlers in it: its end, within one deadline, and its forks.

Knows of a handler only that it can flush; holds all of them weakly.
"""

import atexit
import os
import sys
import time
import weakref
from typing import Protocol

__all__ = ["Living", "flush_all", "is_ending", "seconds_left", "watch"]


class Living(Protocol):
    """A handler, as seen from here."""

    @property
    def shutdown_timeout(self) -> float: ...
    def flush(self, timeout: float | None = None) -> bool: ...
    def begin_flush(self) -> None:
        """Have what waits written now, and wait for nothing."""

    def finish(self) -> None:
        """At the end of the process: write what waits, and say what could not be stored."""

    def reset_in_child(self) -> None:
        """In a forked child: begin anew, and leave queue, thread and connections to the parent."""


_LIVE: "weakref.WeakSet[Living]" = weakref.WeakSet()


def watch(handler: Living) -> None:
    """Have *handler* finished at the end of the process, and begin anew in a forked child, as long as it lives."""
    _LIVE.add(handler)


def flush_all() -> None:
    """Flush every handler of this process, all at once, each within its ``shutdown_timeout``."""
    handlers = list(_LIVE)
    started_at = time.monotonic()
    for handler in handlers:
        handler.begin_flush()
    for handler in handlers:
        handler.flush(started_at + handler.shutdown_timeout - time.monotonic())


def is_ending() -> bool:
    """Whether the process is at its end: nothing will come by later to write what is logged now."""
    return _End.give_up_at is not None


def seconds_left() -> float:
    """Return how long whatever is done at the end of the process may still take."""
    return 0.0 if _End.give_up_at is None else max(0.0, _End.give_up_at - time.monotonic())


class _End:
    """The end of the process: one deadline for all that is done in it."""

    give_up_at: float | None = None
    is_registered = False
    """With multiprocessing; a child inherits that."""


@atexit.register
def _finish_all() -> None:
    # Runs before logging.shutdown, which was registered earlier, and also for a handler that an
    # application's later dictConfig has taken off logging's own list.
    handlers = list(_LIVE)
    if _End.give_up_at is None:
        _End.give_up_at = time.monotonic() + max((handler.shutdown_timeout for handler in handlers), default=0.0)
    for handler in handlers:  # all at once: one whose database is away leaves the others their time
        handler.begin_flush()
    for handler in handlers:
        handler.finish()


def _reset_all_in_child() -> None:
    _End.give_up_at = None
    for handler in list(_LIVE):
        handler.reset_in_child()
    _register_with_multiprocessing()


def _register_with_multiprocessing() -> None:
    """Have what waits written at the end of multiprocessing's processes, which is ``os._exit``, past ``atexit``."""
    util = sys.modules.get("multiprocessing.util")  # not imported: then this is none of them, as yet
    if util is not None and not _End.is_registered:
        # A finalizer is forgotten when such a process starts; what is registered so is called then, and makes one.
        util.register_after_fork(_finish_all, lambda finish: util.Finalize(None, finish, exitpriority=_LAST))
        _End.is_registered = True


_LAST = -1000

_register_with_multiprocessing()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_all_in_child)
