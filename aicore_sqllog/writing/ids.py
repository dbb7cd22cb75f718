"""
Which operation id each record of a batch gets, and which of the records are stored already.

Found from what is stored alone, so that it holds for a batch that is tried again, for one mixed with new
records, and for another process that has the same records. A record that is stored under an id of the
caller's is known by the id minted for it, which its extras hold.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session as OrmSession

from aicore_sqllog.record.call_record import OPERATION_KEYS, CallRecord
from aicore_sqllog.record.notes import MINTED_ID, RUN_ID, note_in
from aicore_sqllog.storage.models import LlmMessage, LlmOperation
from aicore_sqllog.values.ids import message_id
from aicore_sqllog.writing.chunks import chunks
from aicore_sqllog.writing.parents import NamedParents, Replaced

__all__ = ["Choice", "choose_ids"]


_PARENT = OPERATION_KEYS.index("parent_operation_id")


class Choice(NamedTuple):
    """What was chosen for the records of a batch; by the id minted for the record where nothing else is said."""

    operation_ids: dict[str, str]
    parent_ids: dict[str, str]
    """Of those that name a parent."""
    stored: set[str]
    moved: dict[str, str]
    """Operations that must be moved under another parent, with its id."""
    replaced: list[Replaced]
    """Runs that are stored under another id than the caller's, to which children may be moved."""


class _Held(NamedTuple):
    """An operation that is stored under an id that a record asks for."""

    timestamp: datetime | None = None
    minted_id: str | None = None
    """None where it was not asked for, or a version has stored it that did not note it."""
    run_id: str | None = None


def choose_ids(
    session: OrmSession, records: Sequence[CallRecord], may_be_stored: bool, parents: NamedParents
) -> Choice:
    """Give each record the caller's id if no other operation has it, else one of its own; and each its parent's."""
    if not may_be_stored and not any(map(_asks, records)):
        return Choice({record.minted_id: record.minted_id for record in records}, {}, set(), {}, [])
    held = _look_up(session, records, may_be_stored)
    own = _find_own(session, records, held) if may_be_stored else {}
    choice = Choice({}, {}, set(), {}, [])
    for record in records:
        chosen = own.get(record.minted_id)
        if chosen is None:
            chosen = _choose(record, held)
            held[chosen] = _Held(None, record.minted_id, record.run_id)
            if record.run_id is not None and record.caller_id not in (None, chosen):
                choice.replaced.append(Replaced(record.run_id, record.caller_id, chosen))
        else:
            choice.stored.add(record.minted_id)
        choice.operation_ids[record.minted_id] = chosen
        if record.caller_id is not None:
            choice.moved.update(dict.fromkeys(parents.add_parent(record, chosen), chosen))
        if record.parent_operation_id is not None:
            choice.parent_ids[record.minted_id] = _choose_parent(record, chosen, held, parents)
    return choice


def _asks(record: CallRecord) -> bool:
    """Whether *record* asks for an id, or names a parent."""
    is_alone = record.caller_id is None and record.run_id is None
    return not is_alone or record.operation[_PARENT] is not None


def _choose_parent(record: CallRecord, operation_id: str, held: Mapping[str, _Held], parents: NamedParents) -> str:
    wanted: str = record.parent_operation_id
    run_id = record.parent_run_id
    if run_id is None:
        return parents.add_child(record, operation_id)
    is_taken = wanted != run_id and wanted in held and held[wanted].run_id != run_id
    return run_id if is_taken else wanted


def _choose(record: CallRecord, held: Mapping[str, _Held]) -> str:
    for candidate in (record.caller_id, record.run_id):
        if candidate is not None and candidate not in held:
            return candidate
    return record.minted_id


def _look_up(session: OrmSession, records: Sequence[CallRecord], may_be_stored: bool) -> dict[str, _Held]:
    """Return what is stored of the ids that *records* ask for."""
    # An id that an operation minted for itself nobody else has, unless the batch is tried again.
    asking = [record for record in records if may_be_stored or record.caller_id != record.run_id]
    plain = {record.caller_id for record in asking} | {record.run_id for record in asking}
    inside = [record for record in records if record.parent_run_id is not None]
    noted = {record.parent_operation_id for record in inside if record.parent_operation_id != record.parent_run_id}
    if may_be_stored:
        noted |= plain | {record.minted_id for record in records}
    held: dict[str, _Held] = {}
    for part in chunks({key for key in plain - noted if key is not None}):
        select = sa.select(LlmOperation.operation_id).where(LlmOperation.operation_id.in_(part))
        held.update((str(key), _Held()) for key in session.scalars(select))
    for part in chunks({key for key in noted if key is not None}):
        extras = sa.cast(LlmOperation.extras, sa.Text)
        columns = sa.select(LlmOperation.operation_id, LlmOperation.timestamp, extras)
        for key, timestamp, text in session.execute(columns.where(LlmOperation.operation_id.in_(part))):
            minted_id, run_id = note_in(text, MINTED_ID), note_in(text, RUN_ID)
            held[str(key)] = _Held(timestamp, minted_id, run_id)
    return held


def _find_own(session: OrmSession, records: Sequence[CallRecord], held: Mapping[str, _Held]) -> dict[str, str]:
    """Return the ids under which those of *records* are stored that are stored themselves, by their minted ids."""
    own: dict[str, str] = {}
    unmarked: list[tuple[CallRecord, str]] = []
    for record in records:
        for key in (record.caller_id, record.run_id, record.minted_id):
            if key is None or key not in held:
                continue
            if key == record.minted_id or held[key].minted_id == record.minted_id:
                own[record.minted_id] = key
            elif held[key].minted_id is None:
                unmarked.append((record, key))
    # What earlier versions have stored is known by its first message, or else by its time to the microsecond.
    first_messages = {message_id(record.minted_id, 0): (record, key) for record, key in unmarked if record.messages}
    found: set[str] = set()
    for part in chunks(first_messages):
        select = sa.select(LlmMessage.message_id).where(LlmMessage.message_id.in_(part))
        found.update(map(str, session.scalars(select)))
    own.update((record.minted_id, key) for name, (record, key) in first_messages.items() if name in found)
    same_time = [pair for pair in unmarked if not pair[0].messages and held[pair[1]].timestamp == pair[0].timestamp]
    own.update((record.minted_id, key) for record, key in same_time)
    return own
