"""
From a :class:`~aicore_sqllog.capture.snapshot.Snapshot` to a ``CallRecord``; runs on the worker's thread.

A fault in a record never costs the record: the column gets what fits, and the raw value stays in
``extras["sqllog"]["invalid"]``.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from aicore_sqllog.capture.answer import read_answer
from aicore_sqllog.capture.content import Content, Reader, bare_content, plain_tree, sort_content
from aicore_sqllog.capture.context import Surroundings
from aicore_sqllog.capture.defaults import Defaults
from aicore_sqllog.capture.messages import read_messages
from aicore_sqllog.capture.outcome import settle_outcome
from aicore_sqllog.capture.plain_records import build_plain
from aicore_sqllog.capture.pricing import add_cost
from aicore_sqllog.capture.privacy import Privacy
from aicore_sqllog.capture.snapshot import Snapshot
from aicore_sqllog.prices.pricer import Pricer
from aicore_sqllog.process import hooks
from aicore_sqllog.record.call_record import OPERATION_KEYS, CallRecord, Session
from aicore_sqllog.record.columns import OPERATIONS, ColumnKind
from aicore_sqllog.record.notes import MINTED_ID, PARENT_RUN_ID, RUN_ID
from aicore_sqllog.values import ids
from aicore_sqllog.values.convert import to_cost, to_count, to_instant, to_name, to_text
from aicore_sqllog.values.freeze import thaw
from aicore_sqllog.values.json import dump_json

__all__ = ["Defaults", "RecordBuilder"]

_READERS: Mapping[ColumnKind, Reader] = {
    ColumnKind.COUNT: to_count,
    ColumnKind.AMOUNT: to_cost,
    ColumnKind.INSTANT: to_instant,
    ColumnKind.NAME: to_name,
    ColumnKind.TEXT: to_text,
}
"""How a field is read that needs nothing but its column's kind; ids and documents are read one by one."""


def _fields_of(*kinds: ColumnKind) -> list[tuple[str, Reader]]:
    return [(column.key, _READERS[column.kind]) for column in OPERATIONS if column.is_field and column.kind in kinds]


_NUMBERS_AND_TIMES = _fields_of(ColumnKind.COUNT, ColumnKind.AMOUNT, ColumnKind.INSTANT)
_NAMES_AND_TEXTS = _fields_of(ColumnKind.NAME, ColumnKind.TEXT)


class RecordBuilder:
    """
    Builds call records with the defaults and the privacy rules of one handler.

    Those without a session get one for the process.
    """

    def __init__(self, defaults: Defaults, privacy: Privacy | None = None, pricer: Pricer | None = None) -> None:
        self._defaults = defaults
        self._privacy = privacy or Privacy()
        self._pricer = pricer
        self._process_session: str | None = None
        hooks.in_child(hooks.Child.STATE, self.restart_in_child)

    def restart_in_child(self) -> None:
        """In a forked child, which is a process of its own: its records are of another session."""
        self._process_session = None

    def build_all(self, snapshots: Sequence[Snapshot]) -> list[CallRecord]:
        """Return the records of *snapshots*: of each what :meth:`build` returns, of plain ones in less time."""
        plain = self.build_plain(snapshots)
        return [record or self.build(snapshot) for snapshot, record in zip(snapshots, plain, strict=True)]

    def build_plain(self, snapshots: Sequence[Snapshot]) -> Sequence[CallRecord | None]:
        """Return the records of those of *snapshots* that are plain, None for each other."""
        if not self._privacy.lets_all_through:
            return [None] * len(snapshots)
        return build_plain(snapshots, self._defaults, self._own_session, self._pricer)

    def build(self, snapshot: Snapshot) -> CallRecord:
        """Return the record of *snapshot*; if anything about it fails, a record of what could be kept."""
        try:
            return self._build(sort_content(snapshot), snapshot)
        except Exception as exc:
            fault = f"{type(exc).__qualname__} while reading the record"
        kept = bare_content(snapshot)
        kept.own["fault"] = fault
        kept.fields["capture_content"] = False  # what failed may have been the reading of just this wish
        return self._build(kept, snapshot)

    def _build(self, content: Content, snapshot: Snapshot) -> CallRecord:
        if content.surroundings is not None:
            _fill(content, content.surroundings)
        _fill(content, self._defaults)
        read_answer(content)
        settle_outcome(content, snapshot.level_number)
        # Before the redactors see the rest: a date or an id is no text, and must not look like a telephone number.
        values = content.take_all(_NUMBERS_AND_TIMES)
        if self._pricer is not None:
            add_cost(self._pricer, content, values, _created(snapshot))
        caller_id = content.take_id("operation_id")
        values["parent_operation_id"] = content.take_id("parent_operation_id")
        raw_session, raw_workspace = content.fields.get("session_id"), content.fields.get("workspace")
        self._privacy.protect(content)

        values |= content.take_all(_NAMES_AND_TEXTS)
        values["timestamp"] = values["timestamp"] or _created(snapshot)
        values["operation_type"] = values["operation_type"] or "completion"
        session = self._session(content, values, raw_session, to_name(raw_workspace)[0])
        values |= {"operation_id": caller_id or str(snapshot.minted_id), "session_id": session.session_id}
        messages = read_messages(content.fields.get("messages"), content.fields.get("response"))
        content.own.update(_identity(content, snapshot, caller_id, values["parent_operation_id"]))
        values["extras"] = content.extras_json()
        operation = tuple(map(values.get, OPERATION_KEYS))
        return CallRecord(
            str(snapshot.minted_id), caller_id, operation, session, messages, content.run_id, content.parent_run_id
        )

    def _session(self, content: Content, values: dict[str, Any], raw_id: object, workspace: str | None) -> Session:
        session_id, session_key = self._session_ids(content, raw_id, workspace)
        metadata = content.fields.get("session_metadata")
        return Session(
            session_id,
            values["workspace"],
            values["agent_id"],
            values["timestamp"],
            None if metadata is None else dump_json(metadata),
            session_key,
        )

    def _session_ids(self, content: Content, raw: object, workspace: str | None) -> tuple[str, str | None]:
        """
        Return the session's id, and its key where the caller's id is no UUID.

        The id is of the text as it was given, so that two sessions stay two; the key is what may be stored of it.
        """
        if raw is None:
            return self._own_session(), None
        found = ids.parse_uuid(raw)
        if found is not None:
            return found, None
        return ids.session_id(workspace, to_text(raw)[0] or ""), content.take("session_id", to_name)

    def _own_session(self) -> str:
        if self._process_session is None:
            self._process_session = ids.mint()
        return self._process_session


def _fill(content: Content, outer: Surroundings | Defaults) -> None:
    """Fill the fields that the record leaves open from what holds around it."""
    fields = content.fields
    if fields.get("session_id") is None:
        fields["session_id"] = outer.session_id
    for name, value in (("workspace", outer.workspace), ("agent_id", outer.agent_id), ("user_id", outer.user_id)):
        fields[name] = value if fields.get(name) in (None, "") else fields[name]
    if not isinstance(outer, Surroundings):
        return
    if fields.get("parent_operation_id") is None:
        fields["parent_operation_id"] = outer.operation_id
        content.parent_run_id = outer.operation_run_id
    is_its_session = fields["session_id"] == outer.session_id  # of another, which the record names, it says nothing
    if outer.metadata is not None and is_its_session and fields.get("session_metadata") is None:
        fields["session_metadata"] = plain_tree(thaw(outer.metadata)[0])


def _identity(
    content: Content, snapshot: Snapshot, caller_id: str | None, parent_id: str | None
) -> Iterator[tuple[str, str]]:
    """Yield what tells the record, and the run it was logged in, from others that were given the same id."""
    if caller_id is not None:
        yield MINTED_ID, str(snapshot.minted_id)
        if content.run_id is not None and content.run_id != caller_id:
            yield RUN_ID, content.run_id
    if content.parent_run_id is not None and content.parent_run_id != parent_id:
        yield PARENT_RUN_ID, content.parent_run_id


def _created(snapshot: Snapshot) -> datetime:
    """Return when the record was made; one that came from elsewhere (``makeLogRecord``) may not say so."""
    return to_instant(snapshot.created)[0] or datetime.now(UTC)
