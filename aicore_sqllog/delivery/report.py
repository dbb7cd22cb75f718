"""
What a handler tells a person about failures and losses, on stderr, and what it remembers of that.

Told from the worker's thread or at the end of the process, never from within a log call.
"""

import sys
from collections import Counter

from aicore_sqllog.batching.counts import EVENT_LOOP, QUEUE_FULL, UNSTORABLE, UNTAKEN, Counts
from aicore_sqllog.process.notices import Notices

__all__ = ["Report"]

_CONTENTION_ATTEMPTS = 4
"""Writers that meet in one place make each other try again; only one that goes on is worth a word."""

_DEAD_LETTERED = "dead_lettered"
_LOSSES = {
    QUEUE_FULL: "dropped, because the queue was full. Look at queue_size, queue_bytes and overflow.",
    EVENT_LOOP: "dropped, because the queue was full and an event loop must not wait. Look at queue_bytes.",
    UNTAKEN: "dropped, because the log call itself met an error. This is not expected: please report it.",
    UNSTORABLE: "dropped: the database refused them, and the folder of dead letters is full or cannot be written to.",
    _DEAD_LETTERED: "refused by the database, and kept in the user's state directory, under aicore_sqllog.",
}
_TOO_LATE = " What is logged while the interpreter ends comes too late: log it, or close what logs it, before."


class Report:
    """
    Tells what happens to the records of one handler; of a reason that recurs, once a minute.

    Args:
        notices: Where it is said.

        destination: The database as it may be shown.
    """

    def __init__(self, notices: Notices, destination: str) -> None:
        self._notices = notices
        self.destination = destination
        self._told: Counter[str] = Counter()
        self.last_error: str | None = None
        """What the last failed attempt met, without parameters."""

    def say(self, text: str) -> None:
        """Say *text*; the same text once a minute."""
        self._notices.say(text, text)

    def failure(self, exc: BaseException, count: int, attempt: int) -> None:
        """Tell that *count* records could not be written and will be tried again, with cause and remedy."""
        from aicore_sqllog.storage.faults import Kind, diagnose
        from aicore_sqllog.writing.triage import NotWritten

        fault = exc.fault if isinstance(exc, NotWritten) else diagnose(exc)
        self.last_error = fault.summary
        if fault.kind is not Kind.CONTENTION or attempt >= _CONTENTION_ATTEMPTS:
            text = f"{_records(count, 'is', 'are')} waiting to be written to {self.destination}: {fault}"
            self._notices.say(f"write {fault.kind.value}", text)

    def losses(self, counts: Counts) -> None:
        """Tell what was lost since it was last told."""
        for reason, lost in _lost(counts).items():
            new = lost - self._told[reason]
            if new > 0 and self._notices.say(
                f"lost {reason}", f"{_records(new, 'was', 'were')} {_LOSSES.get(reason, reason)}"
            ):
                self._told[reason] = lost

    def end(self, counts: Counts) -> None:
        """At the end of the process: tell, in one line, what could not be stored and was not told yet."""
        untold = _lost(counts) - self._told
        missing = counts.pending + untold.total()
        if missing:
            parts = {"waiting": counts.pending, "kept as dead letters": untold.pop(_DEAD_LETTERED, 0)}
            parts["dropped"] = untold.total()
            told = ", ".join(f"{count} {what}" for what, count in parts.items() if count)
            cause = "" if self.last_error is None or not counts.pending else f" The last error: {self.last_error}."
            cause += _TOO_LATE if sys.is_finalizing() else ""
            text = f"{_records(missing)} could not be stored in {self.destination}: {told}.{cause}"
            self._notices.say("exit", text)


def _records(count: int, singular: str = "", plural: str = "") -> str:
    """Return "1 record" or "3 records", followed by the verb that goes with it."""
    return f"1 record {singular}".rstrip() if count == 1 else f"{count} records {plural}".rstrip()


def _lost(counts: Counts) -> Counter[str]:
    lost = Counter(counts.dropped)
    lost[_DEAD_LETTERED] += counts.dead_lettered
    return lost
