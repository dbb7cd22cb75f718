"""
A batch that the database refused: what can be stored of it is, and the records that cannot are found.

By halves inside savepoints of one transaction, where a record is refused. By halves in transactions of their own,
where one is too large, for the server may end the connection with it.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import sqlalchemy as sa

from aicore_sqllog.batching.counts import Outcome
from aicore_sqllog.record.call_record import CallRecord
from aicore_sqllog.storage.faults import Kind, diagnose

__all__ = ["Isolation", "sum_outcomes"]

Records: TypeAlias = Sequence[CallRecord]

_REFUSALS = (Kind.POISON, Kind.OVERSIZE)
_TO_WAIT_FOR = (Kind.TRANSIENT, Kind.CONTENTION)
_CUTS_OF_ONE_TOO_LARGE = 6
"""How many attempts at a record must end its connection before it is given up as too large."""


class Isolation:
    """
    Stores one batch piece by piece.

    Args:
        run: Does a piece of work in a transaction.

        store: Stores records inside a transaction.

        kind_of: Tells the kind of an error that was met on storing records.

        attempt: Which attempt at the batch this is.
    """

    def __init__(
        self,
        run: Callable[[Callable[[sa.Connection], Outcome]], Outcome],
        store: Callable[[sa.Connection, Records], Outcome],
        kind_of: Callable[[Exception, Records], Kind],
        attempt: int,
    ) -> None:
        self._run = run
        self._store = store
        self._kind_of = kind_of
        self._attempt = attempt
        self.refused: list[tuple[CallRecord, str]] = []
        """Those that can never be stored, with the reason: for good only when :meth:`run` has returned."""

    def run(self, records: Records, exc: Exception, kind: Kind) -> Outcome:
        """Store what can be of *records*, which *exc* refused. What raises here is no fault of a record."""
        if kind is Kind.POISON:
            try:
                return self._by_savepoints(records)
            except Exception as failure:
                # A trigger may undo the savepoints with the rest, or the server refuse what they let pass.
                if self._kind_of(failure, records) in _TO_WAIT_FOR:
                    raise
        return self._by_transactions(records, exc, kind)

    def _by_savepoints(self, records: Records) -> Outcome:
        poison: list[tuple[CallRecord, str]] = []

        def store(connection: sa.Connection, part: Records) -> Outcome:
            try:
                with connection.begin_nested():
                    return self._store(connection, part)
            except Exception as exc:
                if self._kind_of(exc, part) is not Kind.POISON:
                    raise
                if len(part) == 1:
                    poison.append((part[0], diagnose(exc).summary))
                    return Outcome(0)
            return sum_outcomes(*(store(connection, half) for half in _halves(part)))

        def store_all(connection: sa.Connection) -> Outcome:
            poison.clear()
            return store(connection, records)

        outcome = self._run(store_all)
        self.refused += poison
        return outcome

    def _by_transactions(self, records: Records, exc: Exception, kind: Kind) -> Outcome:
        if len(records) == 1:
            fault = diagnose(exc)
            if kind is Kind.OVERSIZE and fault.kind is Kind.TRANSIENT and self._attempt < _CUTS_OF_ONE_TOO_LARGE:
                raise exc  # a network that fails cuts connections, too
            self.refused.append((records[0], fault.summary))
            return Outcome(0)
        return sum_outcomes(*map(self._store_part, _halves(records)))

    def _store_part(self, part: Records) -> Outcome:
        try:
            return self._run(lambda connection: self._store(connection, part))
        except Exception as exc:
            kind = self._kind_of(exc, part)
            if kind not in _REFUSALS:
                raise
            return self.run(part, exc, kind)


def sum_outcomes(*outcomes: Outcome) -> Outcome:
    """Return what became of several parts of a batch together."""
    return Outcome(*map(sum, zip(*outcomes, strict=True)))


def _halves(records: Records) -> tuple[Records, Records]:
    middle = len(records) // 2
    return records[:middle], records[middle:]
