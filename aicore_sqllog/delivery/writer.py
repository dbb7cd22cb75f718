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

from aicore_sqllog.capture.record import CallRecord, Session
from aicore_sqllog.delivery.fit import fit_rows
from aicore_sqllog.delivery.rows import message_rows, operation_row, same_json, session_row, with_session_metadata
from aicore_sqllog.delivery.worker import Outcome
from aicore_sqllog.storage import mysql
from aicore_sqllog.storage.connection import Place
from aicore_sqllog.storage.create import create_if_missing
from aicore_sqllog.storage.database import Database
from aicore_sqllog.storage.engines import open_database
from aicore_sqllog.storage.migrate import MigrateMode, ensure_schema
from aicore_sqllog.storage.models import LlmMessage, LlmOperation, LlmSession
from aicore_sqllog.storage.upsert import insert_missing

__all__ = ["SqlWriter"]

_IDS_A_LOOKUP = 500
_SESSIONS_REMEMBERED = 10_000


class SqlWriter:
    """
    Writes batches to one place; connects, and brings the tables up to date, when the first one comes.

    Args:
        place: Where.

        engine_options: Keyword arguments for ``create_engine``.

        migrate: See :func:`aicore_sqllog.storage.migrate.ensure_schema`.

        say: Gets a sentence for a person, such as that a database was created.
    """

    def __init__(
        self,
        place: Place,
        engine_options: Mapping[str, Any] | None = None,
        *,
        migrate: MigrateMode = "auto",
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._place = place
        self._engine_options = engine_options
        self._migrate: MigrateMode = migrate
        self._say = say
        self._database: Database | None = None
        self._largest_row: int | None = None
        self._stored_sessions: set[str] = set()
        self._chosen_ids: dict[str, str] = {}
        """The operation ids that the batch in hand got, by minted id; remembered for its further attempts."""

    def write(self, records: Sequence[CallRecord], attempt: int) -> Outcome:
        """Store *records*; nothing of them is stored if this raises, as far as the database told us."""
        if attempt == 1:
            self._chosen_ids = {}
        else:
            self._stored_sessions = set()  # one of them may have been deleted
        outcome = self._ready_database().run(lambda connection: self._store(connection, records, attempt))
        self._remember_sessions(record.session.session_id for record in records)
        return outcome

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
        if self._database is None:
            database = open_database(self._place, self._engine_options)
            try:
                self._prepare(database)
            except BaseException:
                database.close()
                raise
            self._database = database
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

    def _remember_sessions(self, session_ids: Iterable[str]) -> None:
        if len(self._stored_sessions) > _SESSIONS_REMEMBERED:
            self._stored_sessions = set()
        self._stored_sessions.update(session_ids)

    def _store(self, connection: sa.Connection, records: Sequence[CallRecord], attempt: int) -> Outcome:
        with OrmSession(connection) as session:
            self._choose_ids(session, records)
            stored = self._find(session, self._chosen_ids.values()) if attempt > 1 else set()
            fresh = [record for record in records if self._chosen_ids[record.minted_id] not in stored]
            self._insert(session, fresh)
        asked_and_refused = sum(record.caller_id not in (None, self._chosen_ids[record.minted_id]) for record in fresh)
        return Outcome(len(fresh), duplicate=len(records) - len(fresh), id_conflict=asked_and_refused)

    def _choose_ids(self, session: OrmSession, records: Sequence[CallRecord]) -> None:
        """Give each record its operation id: the caller's if no operation has it yet, else the minted one."""
        if self._chosen_ids:
            return
        asked = {record.caller_id for record in records if record.caller_id is not None}
        taken = self._find(session, asked) if asked else set()
        chosen: dict[str, str] = {}
        for record in records:
            wanted = record.caller_id
            if wanted is None or wanted in taken:
                wanted = record.minted_id
            taken.add(wanted)
            chosen[record.minted_id] = wanted
        self._chosen_ids = chosen

    @staticmethod
    def _find(session: OrmSession, operation_ids: Iterable[str]) -> set[str]:
        wanted = sorted(operation_ids)
        found: set[str] = set()
        for start in range(0, len(wanted), _IDS_A_LOOKUP):
            column = LlmOperation.operation_id
            select = sa.select(column).where(column.in_(wanted[start : start + _IDS_A_LOOKUP]))
            found.update(map(str, session.scalars(select)))
        return found

    def _insert(self, session: OrmSession, records: Sequence[CallRecord]) -> None:
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
            operation_id = self._chosen_ids[record.minted_id]
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
        ids = sorted({record.session.session_id for record in records if record.session.metadata is not None})
        held: dict[str, str | None] = {}
        for start in range(0, len(ids), _IDS_A_LOOKUP):
            metadata = sa.cast(LlmSession.session_metadata, sa.Text)
            select = sa.select(LlmSession.session_id, metadata).where(
                LlmSession.session_id.in_(ids[start : start + _IDS_A_LOOKUP])
            )
            held.update((str(key), text) for key, text in session.execute(select))
        return [
            record.extras
            if record.session.metadata is None or same_json(record.session.metadata, held[record.session.session_id])
            else with_session_metadata(record)
            for record in records
        ]
