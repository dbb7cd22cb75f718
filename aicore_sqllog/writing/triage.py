"""
Whose fault an error is that was met on writing: a record's, a statement's size, or no record's at all.

The verdict is made once, where the error is met, and goes along with it: into the dead letters, and
in :class:`NotWritten` to whoever reports that the records are waiting.
"""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

import sqlalchemy as sa

from aicore_sqllog.record.call_record import CallRecord
from aicore_sqllog.storage.faults import Fault, Kind, diagnose
from aicore_sqllog.writing.destination import Destination, NoRecordInvolvedError

__all__ = ["Blame", "NotWritten", "Triage", "Verdict"]

_LEAST_TOO_LARGE_BYTES = 256 * 1024
"""No server is known that refuses a smaller statement for its size: less than that was cut off by something else."""

_UNEXPECTED_ATTEMPTS = 3
"""An error that nobody thought of is taken for a record's when it comes for so many times."""

_CUTS_OF_ONE_TOO_LARGE = 6
"""How many attempts at a record must end its connection before it is given up as too large."""


class Blame(Enum):
    """Whose fault an error is."""

    NO_RECORD = "no record"
    """The server's, the connection's, a person's: the same records are tried again later."""
    A_RECORD = "a record"
    """At least one of the records can never be stored."""
    THE_SIZE = "the size"
    """The statement, or a row in it, was too large."""


class Verdict(NamedTuple):
    """What an error means, and what to do about it."""

    cause: Exception
    fault: Fault
    blame: Blame
    is_certain: bool = True
    """False where a large statement ended the connection: a network that fails does that, too."""


class NotWritten(Exception):  # noqa: N818  # the outcome of an attempt, not a fault of the program
    """
    Nothing of a batch is settled, and a further attempt may store it.

    Attributes:
        verdict: Whose fault that is.

        cause: The error that was met, which is ``__cause__`` too.

        fault: What it means.
    """

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(str(verdict.fault))
        self.verdict = verdict
        self.cause = verdict.cause
        self.fault = verdict.fault
        self.__cause__ = verdict.cause


class Triage:
    """Judges the errors that are met on writing to *destination*."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination

    def judge(self, exc: Exception, records: Sequence[CallRecord], attempt: int) -> Verdict:
        """Return whose fault *exc* is, which was met at this *attempt* to store *records*."""
        if isinstance(exc, NoRecordInvolvedError):
            return _judge_without_records(exc)
        fault = diagnose(exc)
        match fault.kind:
            case Kind.POISON:
                return Verdict(exc, fault, Blame.A_RECORD)
            case Kind.OVERSIZE:
                return Verdict(exc, fault, Blame.THE_SIZE)
            case Kind.UNEXPECTED:
                blame = Blame.A_RECORD if attempt >= _UNEXPECTED_ATTEMPTS else Blame.NO_RECORD
                return Verdict(exc, fault, blame)
            case Kind.TRANSIENT if attempt > 1 and self._may_be_too_large(exc, records):
                return Verdict(exc, fault, Blame.THE_SIZE, is_certain=attempt >= _CUTS_OF_ONE_TOO_LARGE)
            case _:
                return Verdict(exc, fault, Blame.NO_RECORD)

    def _may_be_too_large(self, exc: Exception, records: Sequence[CallRecord]) -> bool:
        """Whether the server may have ended the connection because of the size, which looks as if it were away."""
        return (
            self._destination.largest_row is not None
            and isinstance(exc, sa.exc.DBAPIError)
            and exc.connection_invalidated
            and exc.statement is not None  # a COMMIT is no large statement; its errors have none
            and _text_size(records) >= _LEAST_TOO_LARGE_BYTES
            and self._destination.answers()
        )


def _judge_without_records(exc: NoRecordInvolvedError) -> Verdict:
    cause = exc.__cause__
    assert isinstance(cause, Exception)
    fault = diagnose(cause)
    if fault.kind in (Kind.POISON, Kind.OVERSIZE, Kind.UNEXPECTED):
        fault = fault._replace(kind=Kind.TRANSIENT)
    return Verdict(cause, fault, Blame.NO_RECORD)


def _text_size(records: Sequence[CallRecord]) -> int:
    """Return about how many bytes the texts of *records* have."""
    return sum(
        len(text)
        for record in records
        for values in (record.operation, record.session, *record.messages)
        for text in values
        if isinstance(text, str)
    )
