"""
A batch of call records into the three tables, in one transaction, parents first.

Whatever is written again, after a commit whose outcome is unknown or by another process that has
the same record, leaves every row exactly once: ids are made before the first attempt, and what is
stored already is looked up in the same transaction.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session as OrmSession

from aicore_sqllog.batching.counts import Loss, Outcome
from aicore_sqllog.journal.dead_letters import DeadLetters
from aicore_sqllog.record.call_record import CallRecord
from aicore_sqllog.storage.connection import Place, show_url
from aicore_sqllog.storage.dialects.fast_inserts import FastInsert
from aicore_sqllog.storage.dialects.lookup import dialect_of
from aicore_sqllog.storage.faults import Kind
from aicore_sqllog.storage.migrate import MigrateMode
from aicore_sqllog.storage.models import LlmLogLoss
from aicore_sqllog.storage.upsert import insert_missing
from aicore_sqllog.writing.destination import Destination, NoRecordInvolvedError
from aicore_sqllog.writing.ids import choose_ids
from aicore_sqllog.writing.insert import KnownSessions, insert_records
from aicore_sqllog.writing.parents import NamedParents
from aicore_sqllog.writing.rows import loss_row
from aicore_sqllog.writing.splitting import Refusal, Splitting, sum_outcomes
from aicore_sqllog.writing.triage import Blame, NotWritten, Triage, Verdict

__all__ = ["Writer"]


class Writer:
    """
    Writes batches to one database; connects, and brings the tables up to date, when the first one comes.

    Args:
        place: The database.

        engine_options: Keyword arguments for ``create_engine``.

        migrate: See :func:`aicore_sqllog.storage.migrate.ensure_schema`.

        say: Gets a sentence for a person, such as that a database was created.

        dead_letters: Where records go that can never be stored.

        accelerate: Whether a batch's first attempt may use what the database does faster than the ORM.
    """

    def __init__(
        self,
        place: Place,
        engine_options: Mapping[str, Any] | None = None,
        *,
        migrate: MigrateMode = "auto",
        say: Callable[[str], None] = lambda text: None,
        dead_letters: DeadLetters | None = None,
        accelerate: bool = True,
    ) -> None:
        self.destination = Destination(place, engine_options, migrate, say)
        self._triage = Triage(self.destination)
        self._accelerate = accelerate
        self._dead_letters = dead_letters or DeadLetters(show_url(place.url))
        self._known_sessions = KnownSessions()
        self._parents = NamedParents()

    def write(self, records: Sequence[CallRecord], attempt: int, losses: Sequence[Loss] = ()) -> Outcome:
        """
        Store *records*, and with them *losses*, each once however often it is given.

        Where one of the records can never be stored, the others are, and it goes to the dead letters.

        Args:
            records: A batch; a further attempt finds what an earlier one has stored.

            attempt: Which attempt at it this is, from 1.

            losses: What was dropped; these may come alone.

        Raises:
            NotWritten: If nothing of all this is settled, so that it should be tried again.
        """
        if attempt > 1:
            self._known_sessions.forget()
        try:
            outcome = self._run(
                lambda connection: self._store(connection, records, attempt > 1, losses), records, attempt
            )
        except NotWritten as exc:
            self._known_sessions.forget()
            if exc.verdict.blame is not Blame.NO_RECORD:
                return self._write_in_pieces(records, losses, exc.verdict, attempt)
            if exc.fault.kind is Kind.MISCONFIGURED:
                self.destination.reset()
            raise
        self._known_sessions.remember(records)
        return outcome

    def close(self) -> None:
        """Close our connections; a borrowed engine stays as it is. A later write connects again."""
        self.destination.close()

    def forget(self) -> None:
        """Leave the connections to the parent of this process, which still uses them."""
        self.destination.forget()

    def _run(self, work: Callable[[sa.Connection], Outcome], records: Sequence[CallRecord], attempt: int) -> Outcome:
        parents = self._parents
        try:
            return self.destination.run(work)
        except NotWritten:
            self._parents = parents
            raise
        except Exception as exc:
            self._parents = parents
            raise NotWritten(self._triage.judge(exc, records, attempt)) from exc

    def _write_in_pieces(
        self, records: Sequence[CallRecord], losses: Sequence[Loss], verdict: Verdict, attempt: int
    ) -> Outcome:
        """Store what can be stored of *records*, one of which is to blame."""
        again = max(attempt, 2)
        splitting = Splitting(
            lambda work, part: self._run(work, part, again),
            lambda connection, part: self._store(connection, part, may_be_stored=True),
            lambda exc, part: self._triage.judge(exc, part, again),
        )
        if losses:
            self._run(lambda connection: self._store(connection, [], False, losses), [], again)
        outcome = splitting.run(records, verdict)
        return sum_outcomes(outcome, *map(self._dead_letter, splitting.refusals))

    def _dead_letter(self, refusal: Refusal) -> Outcome:
        kept = self._dead_letters.add([refusal.record], refusal.verdict.fault.summary)
        return Outcome(0, dead_lettered=kept, dropped=1 - kept)

    def _store(
        self, connection: sa.Connection, records: Sequence[CallRecord], may_be_stored: bool, losses: Sequence[Loss] = ()
    ) -> Outcome:
        # Neither ends nor undoes the transaction or the savepoint that it is inside.
        with OrmSession(connection, join_transaction_mode="rollback_only") as session:
            if losses:
                _store_losses(session, losses)
            if not records:
                return Outcome(0)
            parents = self._parents.copy()
            choice = choose_ids(session, records, may_be_stored, parents)
            fresh = [record for record in records if record.minted_id not in choice.stored]
            insert_records(
                session,
                fresh,
                choice,
                self._known_sessions,
                self.destination.largest_row,
                None if may_be_stored else self._fast_insert(connection),
            )
            self._parents = parents
        asked_and_refused = sum(r.caller_id not in (None, choice.operation_ids[r.minted_id]) for r in fresh)
        return Outcome(len(fresh), duplicate=len(records) - len(fresh), id_conflict=asked_and_refused)

    def _fast_insert(self, connection: sa.Connection) -> FastInsert | None:
        return dialect_of(connection).fast_insert(connection) if self._accelerate else None


def _store_losses(session: OrmSession, losses: Sequence[Loss]) -> None:
    try:
        insert_missing(session, LlmLogLoss, list(map(loss_row, losses)))
    except Exception as exc:
        raise NoRecordInvolvedError from exc
