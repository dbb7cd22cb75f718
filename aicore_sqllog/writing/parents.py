"""
Which operation a caller's id of a parent means, where several runs of a program use the same id.

The first operation with an id of the caller's is stored under it, each later one under an id of its
own. The operations inside must hang under the one that they were inside of:

- An ``llm_operation`` gives itself and what is logged inside a *run id*, which no other has. It is the
  id under which it is stored where the caller's is taken. What is stored before it notes the run id in
  its extras, and is moved if the operation is not stored under the id that was expected.
- What names its parent by the field alone belongs to the latest with that id that this handler has
  stored. If children are logged before their parents, which the first of them shows, to the next.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session as OrmSession

from aicore_sqllog.record.call_record import CallRecord
from aicore_sqllog.record.notes import PARENT_RUN_ID, note_in
from aicore_sqllog.storage.models import LlmOperation
from aicore_sqllog.values.ids import minted_at
from aicore_sqllog.writing.chunks import chunks

__all__ = ["NamedParents", "Replaced", "find_children", "move_operations"]

_IDS_REMEMBERED = 1_000
_CHILDREN_REMEMBERED = 1_000

_OPERATIONS = cast(sa.Table, LlmOperation.__table__)
_MOVE = (
    sa.update(_OPERATIONS)
    .where(_OPERATIONS.c.operation_id == sa.bindparam("child"))
    .values(parent_operation_id=sa.bindparam("parent"))
)


class Replaced(NamedTuple):
    """A run that is stored under another id than the caller's."""

    run_id: str
    caller_id: str
    operation_id: str


def find_children(session: OrmSession, replaced: Sequence[Replaced]) -> dict[str, str]:
    """Return the operations that hang under the callers' ids of *replaced*, and belong to them, with their parents."""
    parents = {run.run_id: run.operation_id for run in replaced}
    found: dict[str, str] = {}
    for part in chunks({run.caller_id for run in replaced}):
        begun_at = min(minted_at(run.run_id) for run in replaced)
        columns = sa.select(LlmOperation.operation_id, sa.cast(LlmOperation.extras, sa.Text))
        inside = columns.where(LlmOperation.parent_operation_id.in_(part), LlmOperation.timestamp >= begun_at)
        for operation_id, extras in session.execute(inside):
            run_id = note_in(extras, PARENT_RUN_ID)
            if run_id in parents:
                found[str(operation_id)] = parents[run_id]
    return found


def move_operations(session: OrmSession, parents: Mapping[str, str]) -> None:
    """Hang operations that are stored under other parents."""
    if parents:
        session.execute(_MOVE, [{"child": child, "parent": parent} for child, parent in parents.items()])


class _Link(NamedTuple):
    """What is known of one id that a caller gave."""

    children_come_first: bool
    stored_as: str | None = None
    """The operation that had it last."""
    waiting: tuple[str, ...] = ()
    """Children that are stored, and whose parent is yet to come."""


class NamedParents:
    """Remembers how the latest parents were stored that children name by the field alone."""

    def __init__(self) -> None:
        self._links: dict[str, _Link] = {}

    def copy(self) -> "NamedParents":
        """Return a copy, to go back to where the transaction fails."""
        copied = NamedParents()
        copied._links = dict(self._links)
        return copied

    def add_parent(self, record: CallRecord, stored_as: str) -> Sequence[str]:
        """Note under which id *record* is stored; return the ids of the operations that must be moved under it."""
        wanted = record.caller_id
        if wanted is None or wanted == record.run_id:
            return ()
        link = self._links.pop(wanted, _Link(children_come_first=False))
        self._remember(wanted, link._replace(stored_as=stored_as, waiting=()))
        return link.waiting if stored_as != (link.stored_as or wanted) else ()

    def add_child(self, record: CallRecord, operation_id: str) -> str:
        """Return the id of the parent that *record*, stored as *operation_id*, names."""
        wanted: str = record.parent_operation_id
        link = self._links.pop(wanted, _Link(children_come_first=True))
        if link.children_come_first:
            link = link._replace(waiting=(*link.waiting, operation_id)[-_CHILDREN_REMEMBERED:])
        self._remember(wanted, link)
        return link.stored_as or wanted

    def _remember(self, operation_id: str, link: _Link) -> None:
        if len(self._links) >= _IDS_REMEMBERED:
            del self._links[next(iter(self._links))]
        self._links[operation_id] = link
