"""
A batch of call records into the three tables, in one transaction, parents first.

Whatever is written again, after a commit whose outcome is unknown or by another process that has
the same record, leaves every row exactly once: ids are made before the first attempt, and what is
stored already is looked up in the same transaction.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session as OrmSession

from aicore_sqllog.batching.counts import Loss, Outcome
from aicore_sqllog.journal.dead_letters import DeadLetters
from aicore_sqllog.record.call_record import CallRecord, Session
from aicore_sqllog.storage import mysql
from aicore_sqllog.storage.connection import Place, show_url
from aicore_sqllog.storage.create import create_if_missing
from aicore_sqllog.storage.database import Database
from aicore_sqllog.storage.engines import open_database
from aicore_sqllog.storage.faults import Kind, diagnose
from aicore_sqllog.storage.migrate import MigrateMode, ensure_schema
from aicore_sqllog.storage.models import LlmLogLoss, LlmMessage, LlmOperation, LlmSession
from aicore_sqllog.storage.upsert import insert_missing
from aicore_sqllog.writing.ids import choose_ids, parts
from aicore_sqllog.writing.rows import (
    loss_row,
    message_rows,
    operation_row,
    same_json,
    session_row,
    with_session_metadata,
)
from aicore_sqllog.writing.splitting import Isolation, sum_outcomes
from aicore_sqllog.writing.truncate import fit_rows

__all__ = ["SqlWriter"]

_SESSIONS_REMEMBERED = 10_000
_LEAST_TOO_LARGE_BYTES = 256 * 1024
"""No server is known that refuses a smaller statement for its size: less than that was cut off by something else."""
_UNEXPECTED_ATTEMPTS = 3
"""An error that nobody thought of is taken for a record's when it comes for so many times."""


class SqlWriter:
    """
    Writes batches to one place; connects, and brings the tables up to date, when the first one comes.

    Args:
        place: Where.

        engine_options: Keyword arguments for ``create_engine``.

        migrate: See :func:`aicore_sqllog.storage.migrate.ensure_schema`.

        say: Gets a sentence for a person, such as that a database was created.

        dead_letters: Where records go that can never be stored.
    """

    def __init__(
        self,
        place: Place,
        engine_options: Mapping[str, Any] | None = None,
        *,
        migrate: MigrateMode = "auto",
        say: Callable[[str], None] = lambda text: None,
        dead_letters: DeadLetters | None = None,
    ) -> None:
        self._place = place
        self._engine_options = engine_options
        self._migrate: MigrateMode = migrate
        self._say = say
        self._dead_letters = dead_letters or DeadLetters(show_url(place.url))
        self._loss_rows: list[dict[str, Any]] = []
        self._database: Database | None = None
        self._has_begun = False
        """Whether the last transaction had begun: before that, no record has any part in an error."""
        self._file: tuple[int, int] | None = None
        self._largest_row: int | None = None
        self._stored_sessions: set[str] = set()

    def write(self, records: Sequence[CallRecord], attempt: int) -> Outcome:
        """
        Store *records*; nothing of them is settled if this raises, and a further attempt finds what is stored.

        Where one of them can never be stored, the others are, and it goes to the dead letters.
        """
        if attempt > 1:
            self._stored_sessions = set()  # one of them may have been deleted
        database = self._ready_database()
        try:
            outcome = self._run(database, lambda connection: self._store(connection, records, attempt > 1))
        except Exception as exc:
            self._stored_sessions = set()
            return self._write_in_pieces(database, records, exc, attempt)
        self._remember_sessions(record.session.session_id for record in records)
        return outcome

    def _write_in_pieces(
        self, database: Database, records: Sequence[CallRecord], exc: Exception, attempt: int
    ) -> Outcome:
        """Store what can be stored of *records*, if *exc* is the fault of one of them; else raise it."""
        kind = self._kind_of(exc, records, attempt)
        if kind not in (Kind.POISON, Kind.OVERSIZE):
            if kind is Kind.MISCONFIGURED:
                self.close()  # tables may be missing: the next attempt brings them up to date again
            raise exc
        isolation = Isolation(
            lambda work: self._run(database, work),
            lambda connection, part: self._store(connection, part, True),
            lambda failure, part: self._kind_of(failure, part, max(attempt, 2)),
            attempt,
        )
        outcome = isolation.run(records, exc, kind)
        return sum_outcomes(outcome, *(self._bury(record, reason) for record, reason in isolation.refused))

    def write_losses(self, take_losses: Callable[[], Sequence[Loss]]) -> None:
        """Store what was lost; what of it cannot be now is tried again the next time, before more is taken."""
        if self._database is None:
            return
        self._loss_rows = self._loss_rows or list(map(loss_row, take_losses()))
        rows = self._loss_rows
        if rows:
            self._database.run(lambda connection: insert_missing(_session(connection), LlmLogLoss, rows))
            self._loss_rows = []

    def close(self) -> None:
        """Close our connections; a borrowed engine stays as it is. A later write connects again."""
        database, self._database = self._database, None
        if database is not None:
            database.close()

    def forget(self) -> None:
        """Leave the connections to the parent of this process, which still uses them."""
        database, self._database = self._database, None
        if database is not None:
            database.forget()

    def _ready_database(self) -> Database:
        if self._database is not None and self._file != self._place.file_identity():
            self.close()  # the file was moved or removed: what is written to it now, nobody would find
        if self._database is None:
            database = open_database(self._place, self._engine_options)
            try:
                self._prepare(database)
            except BaseException:
                database.close()
                raise
            self._database, self._file = database, self._place.file_identity()
        return self._database

    def _prepare(self, database: Database) -> None:
        def prepare(connection: sa.Connection) -> None:
            ensure_schema(connection, self._place.schema, self._migrate, self._say)
            if connection.dialect.name in mysql.DIALECTS:
                self._largest_row = mysql.largest_packet(connection)

        try:
            database.run(prepare)
        except sa.exc.DBAPIError as exc:
            made = create_if_missing(self._place.url, exc) if self._migrate == "auto" else None
            if made is None:
                raise
            if made == "created":
                self._say(f"created the database {self._place.url.database} on {self._place.url.host}.")
            database.run(prepare)

    def _run(self, database: Database, work: Callable[[sa.Connection], Outcome]) -> Outcome:
        self._has_begun = False

        def begin_and_work(connection: sa.Connection) -> Outcome:
            self._has_begun = True
            return work(connection)

        return database.run(begin_and_work)

    def _remember_sessions(self, session_ids: Iterable[str]) -> None:
        if len(self._stored_sessions) > _SESSIONS_REMEMBERED:
            self._stored_sessions = set()
        self._stored_sessions.update(session_ids)

    def _kind_of(self, exc: Exception, records: Sequence[CallRecord], attempt: int) -> Kind:
        kind = diagnose(exc).kind
        if not self._has_begun and kind in (Kind.POISON, Kind.OVERSIZE, Kind.UNEXPECTED):
            return Kind.TRANSIENT  # met on connecting, whoever raised it: that is no record's fault
        if kind is Kind.UNEXPECTED:
            return Kind.POISON if attempt >= _UNEXPECTED_ATTEMPTS else Kind.TRANSIENT
        is_suspect = kind is Kind.TRANSIENT and attempt > 1 and _text_bytes(records) >= _LEAST_TOO_LARGE_BYTES
        if is_suspect and self._cut_on_a_statement(exc) and self._answers():
            return Kind.OVERSIZE  # MySQL ends the connection on a statement that is too large, as if it were away
        return kind

    def _cut_on_a_statement(self, exc: Exception) -> bool:
        # A COMMIT is no large statement; its errors have none.
        is_mysql = self._place.url.get_backend_name() in mysql.DIALECTS
        return (
            is_mysql and isinstance(exc, sa.exc.DBAPIError) and exc.connection_invalidated and exc.statement is not None
        )

    def _answers(self) -> bool:
        try:
            self._ready_database().run(lambda connection: connection.exec_driver_sql("SELECT 1"))
        except Exception:
            return False
        return True

    def _bury(self, record: CallRecord, reason: str) -> Outcome:
        kept = self._dead_letters.add([record], reason)
        return Outcome(0, dead_lettered=kept, dropped=1 - kept)

    def _store(self, connection: sa.Connection, records: Sequence[CallRecord], may_be_stored: bool) -> Outcome:
        with _session(connection) as session:
            operation_ids, stored = choose_ids(session, records, may_be_stored)
            fresh = [record for record in records if record.minted_id not in stored]
            self._insert(session, fresh, operation_ids)
        asked_and_refused = sum(record.caller_id not in (None, operation_ids[record.minted_id]) for record in fresh)
        return Outcome(len(fresh), duplicate=len(records) - len(fresh), id_conflict=asked_and_refused)

    def _insert(self, session: OrmSession, records: Sequence[CallRecord], operation_ids: Mapping[str, str]) -> None:
        sessions: dict[str, Session] = {}
        for record in records:
            if record.session.session_id not in self._stored_sessions:
                sessions.setdefault(record.session.session_id, record.session)
        # In key order, so that two processes with the same new sessions wait for each other in one order only.
        insert_missing(session, LlmSession, [session_row(sessions[key]) for key in sorted(sessions)])
        extras = self._extras(session, records)
        operations: list[dict[str, Any]] = []
        messages: list[dict[str, Any]] = []
        for record, text in zip(records, extras, strict=True):
            operation_id = operation_ids[record.minted_id]
            operation, own_messages = (
                operation_row(record, operation_id, text),
                list(message_rows(record, operation_id)),
            )
            if self._largest_row is not None:
                fit_rows(operation, own_messages, self._largest_row)
            operations.append(operation)
            messages.extend(own_messages)
        for model, rows in ((LlmOperation, operations), (LlmMessage, messages)):
            if rows:
                # Without render_nulls the rows are grouped by which of their values are None: a statement each.
                session.execute(sa.insert(model), rows, execution_options={"render_nulls": True})

    @staticmethod
    def _extras(session: OrmSession, records: Sequence[CallRecord]) -> list[str]:
        """Return each record's extras; one whose session holds other metadata keeps its own there."""
        ids = {record.session.session_id for record in records if record.session.metadata is not None}
        held: dict[str, str | None] = {}
        for part in parts(ids):
            metadata = sa.cast(LlmSession.session_metadata, sa.Text)
            select = sa.select(LlmSession.session_id, metadata).where(LlmSession.session_id.in_(part))
            held.update((str(key), text) for key, text in session.execute(select))
        return [
            record.extras
            if record.session.metadata is None or same_json(record.session.metadata, held[record.session.session_id])
            else with_session_metadata(record)
            for record in records
        ]


def _session(connection: sa.Connection) -> OrmSession:
    """Return a session inside the transaction or the savepoint of *connection*, which it neither ends nor undoes."""
    return OrmSession(connection, join_transaction_mode="rollback_only")


def _text_bytes(records: Sequence[CallRecord]) -> int:
    """Return about how many bytes *records* have."""
    return sum(
        len(record.extras) + sum(len(message.content or "") + len(message.parts or "") for message in record.messages)
        for record in records
    )
