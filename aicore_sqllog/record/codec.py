"""
A call record into bytes and back: what a journal and the dead letters keep.

The bytes are one byte, the version of the layout, and then JSON in UTF-8. The JSON is an object with
the columns of the operation by their names, and beside them:

- ``minted_id``, ``caller_id``, ``run_id`` and ``parent_run_id``: see
  :class:`~aicore_sqllog.record.call_record.CallRecord`; the operation's id follows from them;
- ``session``: an object with the columns of the session, of which the operation's ``session_id``;
- ``messages``: a list of objects with ``role``, ``content`` and ``parts``.

Times are ISO 8601 with their offset, documents are JSON text inside the JSON. What is NULL is left out,
so that a record of an older version, which lacks a column, is read as one where it is unknown. A name
that this version does not know, of a column that a later one has added, is kept in
``extras["sqllog"]["unread"]``. A version that is not known is refused.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from aicore_sqllog.record.call_record import CallRecord, Message, Session
from aicore_sqllog.record.columns import OPERATIONS, SESSIONS, Column, ColumnKind
from aicore_sqllog.record.notes import add_notes
from aicore_sqllog.values.convert import to_instant

__all__ = ["VERSION", "UnreadableRecordError", "decode", "encode", "from_document", "to_document"]

VERSION = 1
"""The first byte, and what the dead letters call the version of a line."""

_IDS = ("minted_id", "caller_id", "run_id", "parent_run_id")
_DERIVED = ("operation_id", "session_id")
_OPERATION_COLUMNS = {column.name: column for column in OPERATIONS if column.name not in _DERIVED}
_SESSION_COLUMNS = {column.name: column for column in SESSIONS}
_STORED = [(position, column.name) for position, column in enumerate(OPERATIONS) if column.name not in _DERIVED]


class UnreadableRecordError(ValueError):
    """Bytes that are no call record of a version that is known; the message tells what is wrong, and no value."""


def encode(record: CallRecord) -> bytes:
    """Return *record* as bytes, which :func:`decode` reads, also in a later version of this package."""
    return bytes((VERSION,)) + orjson.dumps(to_document(record))


def decode(data: bytes) -> CallRecord:
    """
    Return the record that *data* holds.

    Raises:
        UnreadableRecordError: If the version is not known, or the bytes are damaged.
    """
    if data[:1] != bytes((VERSION,)):
        raise UnreadableRecordError(f"layout {data[0] if data else 'of no bytes'} is not known: this is {VERSION}")
    try:
        document = orjson.loads(data[1:])
    except ValueError:
        raise UnreadableRecordError("what follows the version is no JSON") from None
    return from_document(document)


def to_document(record: CallRecord) -> dict[str, Any]:
    """Return *record* as an object for JSON, where times are still datetimes."""
    operation = record.operation
    document = {name: operation[position] for position, name in _STORED if operation[position] is not None}
    document |= _without_nulls((name, getattr(record, name)) for name in _IDS)
    document["session"] = _without_nulls(zip(_SESSION_COLUMNS, record.session, strict=True))
    document["messages"] = [_without_nulls(zip(Message._fields, message, strict=True)) for message in record.messages]
    return document


def from_document(document: object) -> CallRecord:
    """Return the record that was made into *document*, read from JSON; raises as :func:`decode` does."""
    rest = dict(_require(document, dict, "the record"))
    ids = {name: _optional(rest.pop(name, None), str, name) for name in _IDS}
    minted_id = _require(ids["minted_id"], str, "minted_id")
    unread: dict[str, Any] = {}
    session = Session(*_read(rest.pop("session", None), _SESSION_COLUMNS, "session", unread).values())
    messages = [_read_message(item, number, unread) for number, item in enumerate(_items(rest.pop("messages", None)))]
    values = _read(rest, _OPERATION_COLUMNS, "", unread)
    values |= {"operation_id": ids["caller_id"] or minted_id, "session_id": session.session_id}
    _require(session.session_id, str, "session.session_id")
    _require(values["timestamp"], datetime, "timestamp")
    extras = _optional(values["extras"], str, "extras") or "{}"
    values["extras"] = add_notes(extras, {"unread": unread}) if unread else extras
    operation = tuple(values[column.name] for column in OPERATIONS)
    return CallRecord(operation=operation, session=session, messages=tuple(messages), **ids)


def _without_nulls(pairs: Any) -> dict[str, Any]:
    return {name: value for name, value in pairs if value is not None}


def _read(found: object, columns: Mapping[str, Column], where: str, unread: dict[str, Any]) -> dict[str, Any]:
    """Return the values of *columns* in their order; what has no column goes to *unread*."""
    rest = dict(_require(found, dict, where))
    values = {name: _value(column, rest.pop(name, None), where) for name, column in columns.items()}
    unread.update({f"{where}.{name}" if where else name: value for name, value in rest.items()})
    return values


def _value(column: Column, raw: Any, where: str) -> Any:
    if raw is None:
        return None
    try:
        return _READERS[column.kind](raw)
    except (TypeError, ValueError):
        name = f"{where}.{column.name}" if where else column.name
        raise UnreadableRecordError(f"{name} is no {column.kind.value}") from None


def _read_message(item: object, number: int, unread: dict[str, Any]) -> Message:
    rest = dict(_require(item, dict, f"messages.{number}"))
    texts = (_optional(rest.pop(name, None), str, f"messages.{number}.{name}") for name in Message._fields)
    message = Message(*texts)
    unread.update({f"messages.{number}.{name}": value for name, value in rest.items()})
    return message


def _items(found: object) -> Sequence[Any]:
    items: list[Any] = _require([] if found is None else found, list, "messages")
    return items


def _require(value: Any, kind: type, name: str) -> Any:
    if not isinstance(value, kind):
        raise UnreadableRecordError(f"{name} is no {kind.__name__}")
    return value


def _optional(value: Any, kind: type, name: str) -> Any:
    return None if value is None else _require(value, kind, name)


def _text(raw: Any) -> str:
    if not isinstance(raw, str):
        raise TypeError
    return raw


def _count(raw: Any) -> int:
    if not isinstance(raw, int) or isinstance(raw, bool):
        raise TypeError
    return raw


def _amount(raw: Any) -> float:
    if not isinstance(raw, int | float) or isinstance(raw, bool):
        raise TypeError
    return float(raw)


def _instant(raw: Any) -> datetime:
    moment, _ = to_instant(_text(raw))
    if moment is None:
        raise ValueError
    return moment


_READERS: Mapping[ColumnKind, Callable[[Any], Any]] = {
    ColumnKind.ID: _text,
    ColumnKind.NAME: _text,
    ColumnKind.TEXT: _text,
    ColumnKind.JSON: _text,
    ColumnKind.COUNT: _count,
    ColumnKind.AMOUNT: _amount,
    ColumnKind.INSTANT: _instant,
}
