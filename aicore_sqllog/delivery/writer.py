"""
A batch of call records into the three tables, in one transaction, parents first.

Whatever is written again, after a commit whose outcome is unknown or by another process that has
the same record, leaves every row exactly once: ids are made before the first attempt, and what is
stored already is looked up in the same transaction.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session as OrmSession

from aicore_sqllog.capture.record import CallRecord, Session
from aicore_sqllog.delivery.rows import message_rows, operation_row, same_json, session_row, with_session_metadata
from aicore_sqllog.delivery.worker import Outcome
from aicore_sqllog.storage.connection import Place
from aicore_sqllog.storage.engines import writer_engine
from aicore_sqllog.storage.models import LlmMessage, LlmOperation, LlmSession
from aicore_sqllog.storage.schema import create_tables
from aicore_sqllog.storage.upsert import insert_missing

__all__ = ["SqlWriter"]

_IDS_A_LOOKUP = 500


class SqlWriter:
    """Writes batches to one place; connects, and makes the tables, when the first one comes."""

    def __init__(self, place: Place, engine_options: Mapping[str, Any] | None = None) -> None:
        self._place = place
        self._engine_options = engine_options
        self._engine: Engine | None = None
        self._chosen_ids: dict[str, str] = {}
        """The operation ids that the batch in hand got, by minted id; remembered for its further attempts."""

    def write(self, records: Sequence[CallRecord], attempt: int) -> Outcome:
        """Store *records*; nothing of them is stored if this raises, as far as the database told us."""
        if attempt == 1:
            self._chosen_ids = {}
        with OrmSession(self._ready_engine()) as session, session.begin():
            self._choose_ids(session, records)
            stored = self._find(session, self._chosen_ids.values()) if attempt > 1 else set()
            fresh = [record for record in records if self._chosen_ids[record.minted_id] not in stored]
            self._insert(session, fresh)
        asked_and_refused = sum(record.caller_id not in (None, self._chosen_ids[record.minted_id]) for record in fresh)
        return Outcome(len(fresh), duplicate=len(records) - len(fresh), id_conflict=asked_and_refused)

    def close(self) -> None:
        """Close our connections; a borrowed engine stays as it is. A later write connects again."""
        engine, self._engine = self._engine, None
        if engine is not None and self._place.borrowed is not engine:
            engine.dispose()

    def forget(self) -> None:
        """Leave the connections to the parent of this process, which still uses them."""
        engine, self._engine = self._engine, None
        if engine is not None and self._place.borrowed is not engine:
            engine.dispose(close=False)

    def _ready_engine(self) -> Engine:
        if self._engine is None:
            engine = writer_engine(self._place, self._engine_options)
            create_tables(engine)
            self._engine = engine
        return self._engine

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
            sessions.setdefault(record.session.session_id, record.session)
        # In key order, so that two processes with the same new sessions wait for each other in one order only.
        insert_missing(session, LlmSession, [session_row(sessions[key]) for key in sorted(sessions)])
        extras = self._extras(session, records)
        operations: list[dict[str, Any]] = []
        messages: list[dict[str, Any]] = []
        for record, text in zip(records, extras, strict=True):
            operation_id = self._chosen_ids[record.minted_id]
            operations.append(operation_row(record, operation_id, text))
            messages.extend(message_rows(record, operation_id))
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
