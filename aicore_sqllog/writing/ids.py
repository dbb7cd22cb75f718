"""
Which operation id each record of a batch gets, and which of the records are stored already.

Found from what is stored alone, so that it holds for a batch that is tried again, for one mixed with new
records, and for another process that has the same records.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session as OrmSession

from aicore_sqllog.record.call_record import CallRecord
from aicore_sqllog.storage.models import LlmMessage, LlmOperation
from aicore_sqllog.values.ids import message_id

__all__ = ["Choice", "choose_ids", "chunks"]

_IDS_A_LOOKUP = 500


class Choice(NamedTuple):
    """Both by the id minted for the record."""

    operation_ids: dict[str, str]
    stored: set[str]


def choose_ids(session: OrmSession, records: Sequence[CallRecord], may_be_stored: bool) -> Choice:
    """Give each record the caller's id if no other operation has it, else the minted one."""
    wanted = {record.caller_id for record in records if record.caller_id is not None}
    if may_be_stored:
        wanted.update(record.minted_id for record in records)
    held = dict(_find_operations(session, wanted))
    own = _find_own(session, records, held) if may_be_stored else set()
    choice, taken = Choice({}, set()), set(held)
    for record in records:
        minted_id, chosen = record.minted_id, record.caller_id
        if minted_id in held:
            chosen = minted_id
            choice.stored.add(minted_id)
        elif minted_id in own:
            choice.stored.add(minted_id)
        elif chosen in taken:
            chosen = minted_id
        choice.operation_ids[minted_id] = chosen or minted_id
        taken.add(chosen or minted_id)
    return choice


def chunks(ids: Collection[str]) -> Iterator[list[str]]:
    """Yield *ids* in order, in lists as long as a statement's parameters may be."""
    wanted = sorted(ids)
    for start in range(0, len(wanted), _IDS_A_LOOKUP):
        yield wanted[start : start + _IDS_A_LOOKUP]


def _find_operations(session: OrmSession, operation_ids: Collection[str]) -> Iterator[tuple[str, datetime | None]]:
    for part in chunks(operation_ids):
        select = sa.select(LlmOperation.operation_id, LlmOperation.timestamp)
        for operation_id, timestamp in session.execute(select.where(LlmOperation.operation_id.in_(part))):
            yield str(operation_id), timestamp


def _find_own(session: OrmSession, records: Sequence[CallRecord], held: dict[str, datetime | None]) -> set[str]:
    """Return the minted ids of the records that are stored themselves under the id that the caller asked for."""
    asked = [record for record in records if record.caller_id in held]
    first_messages = {message_id(record.minted_id, 0): record for record in asked if record.messages}
    # One without messages has nothing of its own but its time, to the microsecond.
    own = {r.minted_id for r in asked if not r.messages and r.caller_id and held[r.caller_id] == r.timestamp}
    for part in chunks(first_messages):
        found = session.scalars(sa.select(LlmMessage.message_id).where(LlmMessage.message_id.in_(part)))
        own.update(first_messages[str(key)].minted_id for key in found)
    return own
