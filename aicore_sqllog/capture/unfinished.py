"""
What has begun and not ended, so that the end of the process can end it.

An operation in a suspended generator, a stream that was left early, a daemon thread: the interpreter would end these
so late that little can be imported or written any more.
"""

import weakref
from typing import Protocol

from aicore_sqllog.process import hooks

__all__ = ["Unfinished", "note_begun", "note_ended"]


class Unfinished(Protocol):
    """Something that should be logged before the process ends."""

    def end_with_process(self) -> None:
        """Log it as far as it came."""


_UNFINISHED: "weakref.WeakSet[Unfinished]" = weakref.WeakSet()

note_begun = _UNFINISHED.add
note_ended = _UNFINISHED.discard


def _end_all() -> None:
    for each in list(_UNFINISHED):
        each.end_with_process()


hooks.at_end(hooks.End.OPERATIONS, _end_all)
