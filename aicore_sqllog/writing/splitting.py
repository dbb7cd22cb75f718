"""
A batch that the database refused: what can be stored of it is, and the records that cannot are found.

By halves inside savepoints of one transaction, where a record is refused. By halves in transactions of their own,
where one is too large, because the server may end the connection with it.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import sqlalchemy as sa

from aicore_sqllog.batching.counts import Outcome
from aicore_sqllog.record.call_record import CallRecord
from aicore_sqllog.storage.faults import Kind
from aicore_sqllog.writing.triage import Blame, NotWritten, Verdict

__all__ = ["Refusal", "Splitting", "sum_outcomes"]

Records: TypeAlias = Sequence[CallRecord]

_TO_WAIT_FOR = (Kind.TRANSIENT, Kind.CONTENTION)


class Refusal(NamedTuple):
    """A record that can never be stored, and the verdict that says so."""

    record: CallRecord
    verdict: Verdict


class Splitting:
    """
    Stores one batch piece by piece.

    Args:
        run: Does a piece of work on records in a transaction; raises :class:`NotWritten`.

        store: Stores records inside a transaction.

        judge: Tells whose fault an error is that was met on storing records.
    """

    def __init__(
        self,
        run: Callable[[Callable[[sa.Connection], Outcome], Records], Outcome],
        store: Callable[[sa.Connection, Records], Outcome],
        judge: Callable[[Exception, Records], Verdict],
    ) -> None:
        self._run = run
        self._store = store
        self._judge = judge
        self.refusals: list[Refusal] = []
        """For good only when :meth:`run` has returned."""

    def run(self, records: Records, verdict: Verdict) -> Outcome:
        """
        Store what can be of *records*, on which *verdict* was given.

        Raises:
            NotWritten: At what is no record's fault.
        """
        if verdict.blame is Blame.A_RECORD:
            try:
                return self._by_savepoints(records)
            except NotWritten as exc:
                # A trigger may undo the savepoints with the rest, or the server refuse what they let pass.
                if exc.verdict.blame is Blame.NO_RECORD and exc.fault.kind in _TO_WAIT_FOR:
                    raise
        return self._by_transactions(records, verdict)

    def _by_savepoints(self, records: Records) -> Outcome:
        refusals: list[Refusal] = []

        def store(connection: sa.Connection, part: Records) -> Outcome:
            try:
                with connection.begin_nested():
                    return self._store(connection, part)
            except Exception as exc:
                verdict = self._judge(exc, part)
                if verdict.blame is not Blame.A_RECORD:
                    raise NotWritten(verdict) from exc
                if len(part) == 1:
                    refusals.append(Refusal(part[0], verdict))
                    return Outcome(0)
            return sum_outcomes(*(store(connection, half) for half in _halves(part)))

        def store_all(connection: sa.Connection) -> Outcome:
            refusals.clear()
            return store(connection, records)

        outcome = self._run(store_all, records)
        self.refusals += refusals
        return outcome

    def _by_transactions(self, records: Records, verdict: Verdict) -> Outcome:
        if len(records) == 1:
            if not verdict.is_certain:
                raise NotWritten(verdict)
            self.refusals.append(Refusal(records[0], verdict))
            return Outcome(0)
        return sum_outcomes(*map(self._store_part, _halves(records)))

    def _store_part(self, part: Records) -> Outcome:
        try:
            return self._run(lambda connection: self._store(connection, part), part)
        except NotWritten as exc:
            if exc.verdict.blame is Blame.NO_RECORD:
                raise
            return self.run(part, exc.verdict)


def sum_outcomes(*outcomes: Outcome) -> Outcome:
    """Return what became of several parts of a batch together."""
    return Outcome(*map(sum, zip(*outcomes, strict=True)))


def _halves(records: Records) -> tuple[Records, Records]:
    middle = len(records) // 2
    return records[:middle], records[middle:]
