"""
Records as most are, many at once: those with the same names column by column, most of it at C speed.

A record is plain where each value is of the class that its column takes and goes into it as it is. All others are
left to :class:`~aicore_sqllog.capture.build.RecordBuilder`, which reads value by value. Both make the same of a plain
record: the tests make each of theirs both ways.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from aicore_sqllog.capture.context import Surroundings
from aicore_sqllog.capture.defaults import Defaults
from aicore_sqllog.capture.fields import GROUP_KEY, NOTES_KEY
from aicore_sqllog.capture.media import DATA_KEYS, may_hold_media
from aicore_sqllog.capture.messages import read_messages
from aicore_sqllog.capture.plain_columns import (
    FILLED,
    LONG_TEXT,
    Opened,
    Shape,
    Table,
    find_odd,
    is_plain_name,
    shape_of,
)
from aicore_sqllog.capture.pricing import COST_SOURCE, PRICED, price_of
from aicore_sqllog.capture.snapshot import Snapshot
from aicore_sqllog.prices.pricer import Pricer
from aicore_sqllog.record.call_record import OPERATION_KEYS, CallRecord, Message, Session
from aicore_sqllog.record.columns import OPERATIONS, ColumnKind
from aicore_sqllog.record.notes import MINTED_ID, OWN_KEY, PARENT_RUN_ID, RUN_ID
from aicore_sqllog.values import ids
from aicore_sqllog.values.convert import to_instant
from aicore_sqllog.values.freeze import thaw
from aicore_sqllog.values.json import dump_json
from aicore_sqllog.values.plain_check import is_plain
from aicore_sqllog.values.text import clean_text

__all__ = ["build_plain"]

_LARGEST = 256 * 1024
"""Bytes: what is larger may have to be cut."""

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})
_SIMPLE = frozenset({str, int, bool, type(None)})
_RUN, _PARENT_RUN = f"{NOTES_KEY}.run_id", f"{NOTES_KEY}.parent_run_id"
"""Columns of what an ``llm_operation`` notes; a record with such a name is not plain."""

_COUNTS = frozenset(column.key for column in OPERATIONS if column.kind is ColumnKind.COUNT)


def build_plain(
    snapshots: Sequence[Snapshot],
    defaults: Defaults,
    process_session: Callable[[], str],
    pricer: Pricer | None = None,
) -> list[CallRecord | None]:
    """
    Return the records of *snapshots*, in their order; None for each that is not plain.

    Args:
        snapshots: A batch.

        defaults: What records get that carry none of their own.

        process_session: Returns the id of the session of records that have none.

        pricer: Gives those a cost that tell none.
    """
    built: list[CallRecord | None] = [None] * len(snapshots)
    opened: dict[Shape, list[Opened]] = {}
    for number, snapshot in enumerate(snapshots):
        if _may_be_plain(snapshot):
            shape, values = _open(snapshot)
            if shape is not None:
                opened.setdefault(shape, []).append(Opened(number, snapshot, values))
    for shape, group in opened.items():
        with suppress(Exception):  # whatever it is: read one by one, it costs no other record
            table = _read_table(shape, group, defaults)
            for each, record in zip(table.opened, _make_records(table, process_session, pricer), strict=True):
                built[each.number] = record
    return built


def _may_be_plain(snapshot: Snapshot) -> bool:
    around, message = snapshot.surroundings, snapshot.message
    return (
        snapshot.failure is None
        and snapshot.stack is None
        and snapshot.note is None
        and snapshot.size <= _LARGEST
        and type(snapshot.level_number) is int
        and snapshot.level_number < logging.ERROR
        and type(snapshot.created) is float
        and (len(message) < LONG_TEXT or not may_hold_media(message))
        and type(snapshot.level) is str
        and type(snapshot.logger) is str
        and (len(snapshot.logger) < LONG_TEXT or not may_hold_media(snapshot.logger))
        and (around is None or (around.captures_content and around.metadata is None))
    )


def _open(snapshot: Snapshot) -> tuple[Shape | None, tuple[object, ...]]:
    names, values = snapshot.names, thaw(snapshot.values)
    if len(names) == 1 and names[0] == GROUP_KEY:
        group = values[0]
        return (shape_of(tuple(group), True), tuple(group.values())) if type(group) is dict else (None, ())
    return shape_of(names, False), values


def _read_table(shape: Shape, opened: list[Opened], defaults: Defaults) -> Table:
    """Return the table of those of *opened* that are plain, with messages and extras read."""
    table = Table(shape, opened)
    _read_notes(table)
    around = [each.snapshot.surroundings for each in opened]
    if any(around):
        _fill_parents(table, around)
        _fill(table, around)
    _fill(table, [defaults] * len(opened))
    for name in shape.fields:
        table.odd.update(find_odd(name, table[name]))
    # Where no model is named, the one that answered takes its place.
    models = zip(table["model"], table["response_model"], strict=True)
    table.odd.update(n for n, (asked, answered) in enumerate(models) if asked is None and answered is not None)
    table.take_out_odd()
    _read_all_messages(table)
    _merge_extras(table)
    table.take_out_odd()
    return table


def _read_notes(table: Table) -> None:
    if NOTES_KEY not in table.shape.names:
        return
    notes = [noted if type(noted) is dict else {} for noted in table[NOTES_KEY]]
    table.odd.update(number for number, noted in enumerate(notes) if not noted.keys() <= {"run_id", "parent_run_id"})
    table[_RUN] = [ids.parse_uuid(noted.get("run_id")) for noted in notes]
    table[_PARENT_RUN] = [ids.parse_uuid(noted.get("parent_run_id")) for noted in notes]


def _fill(table: Table, around: Sequence[Surroundings | Defaults | None]) -> None:
    """Fill what the records leave open from what holds around them."""
    for name in FILLED:
        outer = [None if scope is None else getattr(scope, name) for scope in around]
        if any(outer):
            table[name] = [value if given is None else given for given, value in zip(table[name], outer, strict=True)]


def _fill_parents(table: Table, around: Sequence[Surroundings | None]) -> None:
    named = table["parent_operation_id"]
    inside = [scope if parent is None else None for parent, scope in zip(named, around, strict=True)]
    table["parent_operation_id"] = [
        parent if scope is None else scope.operation_id for parent, scope in zip(named, inside, strict=True)
    ]
    table[_PARENT_RUN] = [
        noted if scope is None else scope.operation_run_id
        for noted, scope in zip(table[_PARENT_RUN], inside, strict=True)
    ]


def _read_all_messages(table: Table) -> None:
    found: list[tuple[Message, ...]] = []
    for number, given in enumerate(zip(table["messages"], table["response"], strict=True)):
        messages = _plain_messages(*given)
        if messages is None:
            if _is_plain_tree({"messages": given[0], "response": given[1]}):
                messages = read_messages(*given)
            else:
                table.odd.add(number)
        found.append(messages or ())
    table["messages"] = found


_make_message: Callable[[type[Message], tuple[str | None, ...]], Message] = tuple.__new__
"""What ``Message(...)`` does, at half of its cost."""


def _plain_messages(messages: Any, response: Any) -> tuple[Message, ...] | None:
    """Return the messages, if each is a role and a text and no more."""
    found = []
    if type(messages) is str:
        return None
    for message in messages or ():
        if type(message) is not dict or len(message) != 2:
            return None
        role, text = message.get("role"), message.get("content")
        if type(text) is not str or (role not in _ROLES and not (type(role) is str and is_plain_name(role))):
            return None
        if len(text) >= LONG_TEXT and may_hold_media(text):
            return None
        found.append(_make_message(Message, (role, clean_text(text), None)))
    if response is not None:
        if len(response) >= LONG_TEXT and may_hold_media(response):
            return None
        found.append(Message("assistant", clean_text(response), None))
    return tuple(found)


def _merge_extras(table: Table) -> None:
    """Put what is no field beside the extras, and look at them all."""
    shape = table.shape
    extras = [{} if given is None else given for given in table["extras"]]
    table.odd.update(n for n, given in enumerate(extras) if not shape.not_in_extras.isdisjoint(given))
    if shape.loose:
        loose = zip(*(table[name] for name in shape.loose), strict=True)
        extras = [
            {**given, **dict(zip(shape.loose, values, strict=True))}
            for given, values in zip(extras, loose, strict=True)
        ]
    if not _are_simple(extras):
        table.odd.update(number for number, given in enumerate(extras) if not _is_plain_tree(given))
    table["extras"] = extras


def _are_simple(mappings: Iterable[dict[Any, Any]]) -> bool:
    """Whether all hold nothing but short texts, whole numbers and the like."""
    keys = set(chain.from_iterable(mappings))
    values = list(chain.from_iterable(mapping.values() for mapping in mappings))
    return (
        {str}.issuperset(map(type, keys))
        and DATA_KEYS.isdisjoint(keys)
        and _SIMPLE.issuperset(map(type, values))
        and all(len(value) < LONG_TEXT for value in values if type(value) is str)
    )


def _is_plain_tree(tree: dict[Any, object]) -> bool:
    return is_plain((tree,), data_keys=DATA_KEYS, may_hold_data=may_hold_media)


def _make_records(table: Table, process_session: Callable[[], str], pricer: Pricer | None) -> Iterable[CallRecord]:
    """Return the records of *table*, all of which are plain."""
    minted = [str(each.snapshot.minted_id) for each in table.opened]
    asked, parents = _parsed(table["operation_id"]), _parsed(table["parent_operation_id"])
    table["timestamp"] = _timestamps(table)
    table["operation_type"] = [value or "completion" for value in table["operation_type"]]
    table["status"] = [value or "success" for value in table["status"]]
    sessions = _sessions(table, process_session)
    noted = [_notes(*given) for given in zip(minted, asked, table[_RUN], parents, table[_PARENT_RUN], strict=True)]
    if pricer is not None:
        _add_costs(table, pricer, noted)
    table["extras"] = list(map(_extras_json, table.opened, table["extras"], noted))
    table["operation_id"] = [given or own for given, own in zip(asked, minted, strict=True)]
    table["parent_operation_id"] = parents
    table["session_id"] = [session.session_id for session in sessions]
    operations = zip(*(_rounded(key, table[key]) for key in OPERATION_KEYS), strict=True)
    return map(CallRecord, minted, asked, operations, sessions, table["messages"], table[_RUN], table[_PARENT_RUN])


def _add_costs(table: Table, pricer: Pricer, noted: Sequence[dict[str, str]]) -> None:
    """Give those records a cost that have tokens and tell none, and note where it is from."""
    columns = [(name, _rounded(name, table[name])) for name in PRICED]
    costs = list(table["cost"])
    for number, (cost, timestamp, extras) in enumerate(zip(costs, table["timestamp"], table["extras"], strict=True)):
        if cost is None:
            values = {name: column[number] for name, column in columns}
            price = price_of(pricer, values, timestamp, extras)
            costs[number] = price.cost
            if price.source is not None:
                noted[number][COST_SOURCE] = price.source
    table["cost"] = costs


def _parsed(given: Sequence[str | None]) -> list[str | None]:
    return [None if value is None else ids.parse_uuid(value) for value in given]


def _timestamps(table: Table) -> list[datetime | None]:
    return [
        datetime.fromtimestamp(each.snapshot.created, UTC)  # type: ignore[arg-type]  # a float
        if given is None
        else to_instant(given)[0]
        for given, each in zip(table["timestamp"], table.opened, strict=True)
    ]


def _rounded(name: str, column: Sequence[Any]) -> Sequence[Any]:
    if name not in _COUNTS or float not in set(map(type, column)):
        return column
    return [round(value) if type(value) is float else value for value in column]


def _sessions(table: Table, process_session: Callable[[], str]) -> list[Session]:
    given = zip(table["session_id"], table["workspace"], table["agent_id"], table["timestamp"], strict=True)
    found = []
    for session_id, workspace, agent_id, timestamp in given:
        own_id = process_session() if session_id is None else ids.parse_uuid(session_id)
        key = session_id if own_id is None else None
        found.append(
            Session(own_id or ids.session_id(workspace, session_id), workspace, agent_id, timestamp, None, key)
        )
    return found


def _notes(
    minted_id: str, asked: str | None, run_id: str | None, parent: str | None, parent_run_id: str | None
) -> dict[str, str]:
    """Return what tells the record, and the run it was logged in, from others that were given the same id."""
    notes = {}
    if asked is not None:
        notes[MINTED_ID] = minted_id
        if run_id is not None and run_id != asked:
            notes[RUN_ID] = run_id
    if parent_run_id is not None and parent_run_id != parent:
        notes[PARENT_RUN_ID] = parent_run_id
    return notes


def _extras_json(opened: Opened, extras: dict[str, object], notes: dict[str, str]) -> str:
    snapshot = opened.snapshot
    own = {"message": snapshot.message, "logger": snapshot.logger, "level": snapshot.level, **notes}
    return dump_json({**extras, OWN_KEY: own})
