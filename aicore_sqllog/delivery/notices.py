"""
What must be said to a person, on stderr: at most once a minute for a reason, never through ``logging``.
"""

import contextlib
import sys
import time

__all__ = ["Notices"]

_INTERVAL_SECONDS = 60.0


class Notices:
    """Says things on stderr; of a reason that recurs, the first in each minute."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def say(self, reason: str, text: str) -> bool:
        """Say *text*, unless *reason* was spoken of within the last minute; return whether it was said."""
        now = time.monotonic()
        if now - self._last.get(reason, -_INTERVAL_SECONDS) < _INTERVAL_SECONDS:
            return False
        self._last[reason] = now
        # There may be no stderr, or a closed one; that is no reason to fail.
        with contextlib.suppress(Exception):
            sys.stderr.write(f"aicore_sqllog: {text}\n")
        return True
