"""
Call records into the three tables, parents first, inside a transaction that is open.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import sqlalchemy as sa
from sqlalchemy.orm import Session as OrmSession

from aicore_sqllog.record.call_record import CallRecord, Session
from aicore_sqllog.record.notes import add_notes
from aicore_sqllog.storage.dialects.fast_inserts import FastInsert
from aicore_sqllog.storage.models import LlmMessage, LlmOperation, LlmSession
from aicore_sqllog.storage.upsert import insert_missing
from aicore_sqllog.writing.chunks import chunks
from aicore_sqllog.writing.ids import Choice
from aicore_sqllog.writing.parents import find_children, move_operations
from aicore_sqllog.writing.rows import (
    Values,
    message_row,
    message_values,
    operation_row,
    operation_values,
    same_json,
    session_row,
)
from aicore_sqllog.writing.truncate import fit_rows, fit_session, may_exceed

__all__ = ["KnownSessions", "insert_records"]

_SESSIONS_REMEMBERED = 10_000


class KnownSessions:
    """Which sessions are stored, of those that were written last: their rows need not be tried again."""

    def __init__(self) -> None:
        self._ids: set[str] = set()

    def missing(self, records: Iterable[CallRecord]) -> list[Session]:
        """
        Return the sessions of *records* that may not be stored, each as its first record tells it.

        In key order, so that two processes with the same new sessions wait for each other in one order only.
        """
        found: dict[str, Session] = {}
        for record in records:
            if record.session.session_id not in self._ids:
                found.setdefault(record.session.session_id, record.session)
        return [found[key] for key in sorted(found)]

    def remember(self, records: Iterable[CallRecord]) -> None:
        """Note that the sessions of *records* are stored, which was committed."""
        if len(self._ids) > _SESSIONS_REMEMBERED:
            self._ids = set()
        self._ids.update(record.session.session_id for record in records)

    def forget(self) -> None:
        """Know of none: one of them may have been deleted."""
        self._ids = set()


def insert_records(
    session: OrmSession,
    records: Sequence[CallRecord],
    choice: Choice,
    known: KnownSessions,
    largest_row: int | None,
    fast_insert: FastInsert | None,
) -> None:
    """
    Insert *records*, none of which is stored, with the sessions that are not.

    Args:
        session: In a transaction, which the caller ends.

        records: What is inserted.

        choice: The ids of their operations, and of these one's parents.

        known: The sessions that are stored.

        largest_row: How many bytes a row may have, where the server has such a limit.

        fast_insert: Takes the place of the ORM's bulk insert.
    """
    if largest_row is not None:
        records = [fit_session(record, largest_row) for record in records]
    insert_missing(session, LlmSession, list(map(session_row, known.missing(records))))
    differing = _with_metadata_of_their_own(session, records)
    changes = _changes(choice, differing)
    operations: list[Values] = []
    messages: list[list[Values]] = []
    for record in records:
        operation_id = choice.operation_ids[record.minted_id]
        operations.append(operation_values(record, operation_id, changes.get(record.minted_id)))
        messages.append(message_values(record, operation_id))
    if fast_insert is None or (largest_row is not None and may_exceed(records, largest_row)):
        _insert_by_orm(session, operations, messages, largest_row)
    else:
        fast_insert(session.connection(), LlmOperation.__table__, operations)
        fast_insert(session.connection(), LlmMessage.__table__, list(chain.from_iterable(messages)))
    move_operations(session, {**choice.moved, **find_children(session, choice.replaced)})


def _changes(choice: Choice, differing: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return what of the operations' values depends on what is stored already, by minted id and by column."""
    changes = {minted_id: {"parent_operation_id": parent_id} for minted_id, parent_id in choice.parent_ids.items()}
    for minted_id, extras in differing.items():
        changes.setdefault(minted_id, {})["extras"] = extras
    return changes


def _insert_by_orm(
    session: OrmSession,
    operations: Sequence[Values],
    messages: Sequence[Sequence[Values]],
    largest_row: int | None,
) -> None:
    operation_rows = list(map(operation_row, operations))
    message_rows = [list(map(message_row, own)) for own in messages]
    if largest_row is not None:
        for operation, own in zip(operation_rows, message_rows, strict=True):
            fit_rows(operation, own, largest_row)
    for model, rows in ((LlmOperation, operation_rows), (LlmMessage, list(chain.from_iterable(message_rows)))):
        if rows:
            # Without render_nulls the rows are grouped by which of their values are None: a statement each.
            session.execute(sa.insert(model), rows, execution_options={"render_nulls": True})


def _with_metadata_of_their_own(session: OrmSession, records: Sequence[CallRecord]) -> dict[str, str]:
    """
    Return the extras of the records whose session holds other metadata than theirs, with theirs noted.

    By the record's minted id.
    """
    own = [record for record in records if record.session.session_metadata is not None]
    held: dict[str, str | None] = {}
    for part in chunks({record.session.session_id for record in own}):
        metadata = sa.cast(LlmSession.session_metadata, sa.Text)
        select = sa.select(LlmSession.session_id, metadata).where(LlmSession.session_id.in_(part))
        held.update((str(key), text) for key, text in session.execute(select))
    return {
        record.minted_id: _note_metadata(record)
        for record in own
        if not same_json(record.session.session_metadata, held[record.session.session_id])
    }


def _note_metadata(record: CallRecord) -> str:
    return add_notes(record.extras, {"session_metadata": json.loads(record.session.session_metadata or "null")})
