"""
What goes when a log is pruned, and how it goes: each function here is one step, in a transaction of the caller's.

Messages go before their operation and operations before their session, in one transaction, so that nothing is ever
half deleted. A session goes with the last of its operations. A writer may be about to use it just then: the row is
locked first, and looked at again, since a deletion that cascades would take what was stored meanwhile.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias, cast
from uuid import UUID

import sqlalchemy as sa

from aicore_sqllog.record.notes import TEXTS, without_texts
from aicore_sqllog.storage.expressions import text_position
from aicore_sqllog.storage.models import LlmLogLoss, LlmMessage, LlmOperation, LlmSession
from aicore_sqllog.storage.orphans import ORPHANS
from aicore_sqllog.storage.types import EncodedJson

__all__ = ["Counts", "Key", "Matching"]

_SESSIONS, _OPERATIONS, _MESSAGES, _LOSSES = (
    cast(sa.Table, model.__table__) for model in (LlmSession, LlmOperation, LlmMessage, LlmLogLoss)
)
_HAS_TEXT = sa.or_(_MESSAGES.c.content.is_not(None), _MESSAGES.c.parts.is_not(None))

Conditions: TypeAlias = Sequence[sa.ColumnElement[bool]]
Key: TypeAlias = tuple[datetime, UUID]


class Counts(NamedTuple):
    """Rows, by table."""

    operations: int = 0
    messages: int = 0
    sessions: int = 0
    losses: int = 0

    def plus(self, other: "Counts") -> "Counts":
        """Return the sums."""
        return Counts(*map(sum, zip(self, other, strict=True)))


@dataclass(frozen=True, slots=True)
class Matching:
    """Which calls are meant: before a moment, a user's, a session's, a workspace's; None is no condition."""

    before: datetime | None = None
    users: tuple[str | None, ...] | None = None
    sessions: tuple[UUID | str | None, ...] | None = None
    workspaces: tuple[str | None, ...] | None = None
    orphaned: bool = False
    """Calls whose session is gone, and nothing else."""

    def of_operations(self) -> Conditions:
        """Return what holds for the operations."""
        if self.orphaned:
            return [ORPHANS["llm_operations"][1]]
        found: list[sa.ColumnElement[bool]] = []
        if self.before is not None:
            found.append(_OPERATIONS.c.timestamp < self.before)
        if self.users is not None:
            found.append(_is_in(_OPERATIONS.c.user_id, self.users))
        if self.workspaces is not None:
            found.append(_is_in(_OPERATIONS.c.workspace, self.workspaces))
        if self.sessions is not None:
            found.append(_OPERATIONS.c.session_id.in_(sa.select(_SESSIONS.c.session_id).where(self._named())))
        return found

    def of_empty_sessions(self) -> Conditions | None:
        """Return what holds for sessions that go although no operation of theirs is left; None where none does."""
        if self.users is not None or self.orphaned:
            return None  # whose they were cannot be told
        found = [~_has_operations()]
        if self.before is not None:
            found.append(sa.or_(_SESSIONS.c.created_at.is_(None), _SESSIONS.c.created_at < self.before))
        if self.workspaces is not None:
            found.append(_is_in(_SESSIONS.c.workspace, self.workspaces))
        if self.sessions is not None:
            found.append(self._named())
        return found

    def of_losses(self) -> Conditions | None:
        """Return what holds for the losses that go: those of a time, where everything of that time goes."""
        is_by_time_alone = self.users is None and self.sessions is None and self.workspaces is None
        return [_LOSSES.c.last_at < self.before] if is_by_time_alone and self.before is not None else None

    def _named(self) -> sa.ColumnElement[bool]:
        ids = [one for one in self.sessions or () if isinstance(one, UUID)]
        keys = [one for one in self.sessions or () if isinstance(one, str)]
        return sa.or_(_SESSIONS.c.session_id.in_(ids), _SESSIONS.c.session_key.in_(keys))


def count(connection: sa.Connection, matching: Matching) -> Counts:
    """Return how much matches: operations, their messages, sessions with no others, and losses."""
    conditions = matching.of_operations()
    operations = sa.select(sa.func.count()).select_from(_OPERATIONS).where(*conditions)
    joined = _MESSAGES.join(_OPERATIONS, _MESSAGES.c.operation_id == _OPERATIONS.c.operation_id)
    messages = sa.select(sa.func.count()).select_from(joined).where(*conditions)
    is_of = _OPERATIONS.c.session_id == _SESSIONS.c.session_id
    # Not by NOT: of a user that is NULL it is neither true nor false whether it is Ann.
    stays = sa.exists().where(is_of, sa.case((sa.and_(*conditions), 1), else_=0) == 0)
    goes: sa.ColumnElement[bool] = sa.exists().where(is_of, *conditions)
    empty = matching.of_empty_sessions()
    if empty is not None:
        goes = sa.or_(goes, sa.and_(*empty))
    sessions = sa.select(sa.func.count()).select_from(_SESSIONS).where(goes, ~stays)
    losses = matching.of_losses()
    selects = [operations, messages, sessions]
    if losses is not None:
        selects.append(sa.select(sa.func.count()).select_from(_LOSSES).where(*losses))
    found = [int(connection.scalar(select) or 0) for select in selects]
    if matching.orphaned:
        condition = ORPHANS["llm_messages"][1]
        found[1] += int(connection.scalar(sa.select(sa.func.count()).select_from(_MESSAGES).where(condition)) or 0)
    return Counts(*found)


def operations_after(connection: sa.Connection, conditions: Conditions, after: Key | None, limit: int) -> Sequence[Key]:
    """Return time and id of the first operations that match, in the order of both, behind *after*."""
    columns = (_OPERATIONS.c.timestamp, _OPERATIONS.c.operation_id)
    select = sa.select(*columns).where(*conditions).order_by(*columns).limit(limit)
    if after is not None:
        timestamp, operation_id = after
        select = select.where(columns[0] >= timestamp, sa.or_(columns[0] > timestamp, columns[1] > operation_id))
    return [(row[0], row[1]) for row in connection.execute(select)]


def delete_operations(connection: sa.Connection, ids: Sequence[UUID]) -> Counts:
    """Delete the operations with *ids*, with their messages, and the sessions that have none left."""
    own = _OPERATIONS.c.operation_id.in_(ids)
    sessions = connection.scalars(sa.select(_OPERATIONS.c.session_id).where(own).distinct()).all()
    messages = connection.execute(sa.delete(_MESSAGES).where(_MESSAGES.c.operation_id.in_(ids))).rowcount
    operations = connection.execute(sa.delete(_OPERATIONS).where(own)).rowcount
    return Counts(operations, messages, delete_empty_sessions(connection, sessions).sessions)


def empty_sessions_after(
    connection: sa.Connection, conditions: Conditions, after: UUID | None, limit: int
) -> Sequence[UUID]:
    """Return the first sessions that match, in the order of their ids, behind *after*."""
    key = _SESSIONS.c.session_id
    select = sa.select(key).where(*conditions).order_by(key).limit(limit)
    return connection.scalars(select if after is None else select.where(key > after)).all()


def delete_empty_sessions(connection: sa.Connection, ids: Sequence[UUID]) -> Counts:
    """Delete those sessions with *ids* that no operation names."""
    key = _SESSIONS.c.session_id
    empty = sa.select(key).where(key.in_(ids), ~_has_operations()).order_by(key)
    found = connection.scalars(empty).all()
    if not found:
        return Counts()
    # From here on nobody stores an operation of theirs; what was stored until then, the next statement sees.
    locked = connection.scalars(sa.select(key).where(key.in_(found)).order_by(key).with_for_update()).all()
    deleted = connection.execute(sa.delete(_SESSIONS).where(key.in_(locked), ~_has_operations()))
    return Counts(sessions=deleted.rowcount)


def delete_losses(connection: sa.Connection, conditions: Conditions) -> Counts:
    """Delete the losses that match."""
    return Counts(losses=connection.execute(sa.delete(_LOSSES).where(*conditions)).rowcount)


def orphaned_messages_after(connection: sa.Connection, after: UUID | None, limit: int) -> Sequence[UUID]:
    """Return the first operations, in the order of their ids, that are gone and have messages, behind *after*."""
    key = _MESSAGES.c.operation_id
    select = sa.select(key).where(ORPHANS["llm_messages"][1]).distinct().order_by(key).limit(limit)
    return connection.scalars(select if after is None else select.where(key > after)).all()


def delete_orphaned_messages(connection: sa.Connection, ids: Sequence[UUID]) -> Counts:
    """Delete the messages of the operations with *ids*, those that are gone."""
    condition = ORPHANS["llm_messages"][1]
    deleted = connection.execute(sa.delete(_MESSAGES).where(_MESSAGES.c.operation_id.in_(ids), condition))
    return Counts(messages=deleted.rowcount)


def may_have_texts() -> sa.ColumnElement[bool]:
    """Return what holds for every operation that has texts, and for a few that have none."""
    extras = sa.cast(_OPERATIONS.c.extras, sa.Text)
    noted = (text_position(extras, sa.literal(f'"{name}"', sa.Text())) > 0 for name in TEXTS)
    own = _MESSAGES.c.operation_id == _OPERATIONS.c.operation_id
    return sa.or_(_OPERATIONS.c.error_message.is_not(None), sa.exists().where(own, _HAS_TEXT), *noted)


def count_texts(connection: sa.Connection, ids: Sequence[UUID]) -> Counts:
    """Return how many of the operations with *ids*, and of their messages, have texts."""
    own = sa.and_(_MESSAGES.c.operation_id.in_(ids), _HAS_TEXT)
    messages = connection.scalar(sa.select(sa.func.count()).select_from(_MESSAGES).where(own))
    return Counts(len(_emptied(connection, ids)), int(messages or 0))


def empty_texts(connection: sa.Connection, ids: Sequence[UUID]) -> Counts:
    """Take the texts out of the operations with *ids* and their messages; roles, numbers and names stay."""
    own = sa.and_(_MESSAGES.c.operation_id.in_(ids), _HAS_TEXT)
    messages = connection.execute(sa.update(_MESSAGES).where(own).values(content=sa.null(), parts=sa.null())).rowcount
    rows = _emptied(connection, ids)
    if rows:
        key = _OPERATIONS.c.operation_id == sa.bindparam("key", type_=_OPERATIONS.c.operation_id.type)
        values = {"error_message": sa.null(), "extras": sa.bindparam("kept", type_=_OPERATIONS.c.extras.type)}
        connection.execute(sa.update(_OPERATIONS).where(key).values(values), rows)
    return Counts(len(rows), messages)


def _emptied(connection: sa.Connection, ids: Sequence[UUID]) -> list[dict[str, Any]]:
    """Return what the operations with *ids* that have texts are without them."""
    extras = sa.cast(_OPERATIONS.c.extras, sa.Text)
    columns = sa.select(_OPERATIONS.c.operation_id, _OPERATIONS.c.error_message.is_not(None), extras)
    found = []
    for key, has_error_text, text in connection.execute(columns.where(_OPERATIONS.c.operation_id.in_(ids))):
        kept = without_texts(text)
        if has_error_text or kept is not None:
            stays = text if kept is None else kept
            found.append({"key": key, "kept": None if stays is None else EncodedJson(stays)})
    return found


def _has_operations() -> sa.ColumnElement[bool]:
    return sa.exists().where(_OPERATIONS.c.session_id == _SESSIONS.c.session_id)


def _is_in(column: sa.Column[Any], values: Sequence[str | None]) -> sa.ColumnElement[bool]:
    some = column.in_([value for value in values if value is not None])
    return sa.or_(some, column.is_(None)) if None in values else some
