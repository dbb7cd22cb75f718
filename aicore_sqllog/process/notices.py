"""
What must be said to a person: at most once a minute for a reason, never through ``logging``.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Callable

from aicore_sqllog.process import hooks

__all__ = ["Notices", "Tell", "tell_nobody", "tell_on_stderr"]

Tell = Callable[[str, str], object]
"""Is given the reason, a word or two that stay the same, and the text."""

_INTERVAL_SECONDS = 60.0


def tell_on_stderr(reason: str, text: str) -> None:
    """Write *text* to stderr."""
    sys.stderr.write(f"aicore_sqllog: {text}\n")


def tell_nobody(reason: str, text: str) -> None:
    """Keep it to ourselves."""


class Notices:
    """
    Says things; of a reason that recurs, the first in each minute.

    Args:
        tell: Where they are said.
    """

    def __init__(self, tell: Tell = tell_on_stderr) -> None:
        self.tell = tell
        self._last: dict[str, float] = {}
        self._lock = threading.Lock()
        hooks.in_child(hooks.Child.STATE, self.restart_in_child)

    def say(self, reason: str, text: str) -> bool:
        """Say *text*, unless *reason* was spoken of within the last minute; return whether it was said."""
        if not self._is_due(reason):
            return False
        # There may be no stderr, or a closed one, or a fault in the application's function; no reason to fail.
        with contextlib.suppress(Exception):
            self.tell(reason, text)
        return True

    def note_redactor_failure(self, what: str) -> None:
        """Say that a redactor failed, as *what* tells in words that hold nothing of the text."""
        self.say("redact", f"{what}; the text was not stored")

    def restart_in_child(self) -> None:
        """In a forked child: forget what the parent said, and that one of its threads may be saying something."""
        self._last = {}
        self._lock = threading.Lock()

    def _is_due(self, reason: str) -> bool:
        if not self._lock.acquire(blocking=False):
            return False  # another thread says something just now, or this one does, interrupted by a signal handler
        try:
            now = time.monotonic()
            if now - self._last.get(reason, -_INTERVAL_SECONDS) < _INTERVAL_SECONDS:
                return False
            self._last[reason] = now
            return True
        finally:
            self._lock.release()
