"""
From call records to the values of their rows, and to dictionaries with every key, so that a batch is one statement
a table for the ORM.
"""

import json
import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

from aicore_sqllog.batching.counts import Loss
from aicore_sqllog.record.call_record import OPERATION_KEYS, CallRecord, Session
from aicore_sqllog.record.columns import MESSAGES, OPERATIONS, SESSIONS, Column, ColumnKind
from aicore_sqllog.storage.types import EncodedJson
from aicore_sqllog.values.ids import message_ids
from aicore_sqllog.values.text import fit_name

__all__ = [
    "Row",
    "Values",
    "loss_row",
    "message_row",
    "message_values",
    "operation_row",
    "operation_values",
    "same_json",
    "session_row",
]

Row: TypeAlias = dict[str, Any]
"""By column; documents are :class:`EncodedJson`."""

Values: TypeAlias = tuple[Any, ...]
"""In the order of the columns; documents are JSON text."""

_MESSAGE_KEYS = tuple(column.key for column in MESSAGES)


def _documents(columns: tuple[Column, ...]) -> tuple[str, ...]:
    return tuple(column.key for column in columns if column.kind is ColumnKind.JSON)


_OPERATION_DOCUMENTS, _MESSAGE_DOCUMENTS, _SESSION_DOCUMENTS = map(_documents, (OPERATIONS, MESSAGES, SESSIONS))


def session_row(session: Session) -> Row:
    """Return the row of a session."""
    return _with_documents(dict(zip(Session._fields, session, strict=True)), _SESSION_DOCUMENTS)


def operation_values(record: CallRecord, operation_id: str, changes: Mapping[str, Any] | None) -> Values:
    """Return the values of a record's operation, with *changes* by column."""
    if not changes and record.operation[0] == operation_id:
        return record.operation
    values = dict(zip(OPERATION_KEYS, record.operation, strict=True))
    return tuple({**values, **(changes or {}), "operation_id": operation_id}.values())


def message_values(record: CallRecord, operation_id: str) -> list[Values]:
    """Return the values of a record's messages, numbered from 0; their ids follow from the record's minted id."""
    numbers = range(len(record.messages))
    return [
        (message_id, operation_id, role, content, number, parts)
        for number, message_id, (role, content, parts) in zip(
            numbers, message_ids(record.minted_id, numbers), record.messages, strict=True
        )
    ]


def operation_row(values: Values) -> Row:
    """Return an operation's *values* as the ORM takes them."""
    return _with_documents(dict(zip(OPERATION_KEYS, values, strict=True)), _OPERATION_DOCUMENTS)


def message_row(values: Values) -> Row:
    """Return a message's *values* as the ORM takes them."""
    return _with_documents(dict(zip(_MESSAGE_KEYS, values, strict=True)), _MESSAGE_DOCUMENTS)


def loss_row(loss: Loss) -> Row:
    """Return the row of a loss, in this process on this host."""
    return {
        "loss_id": loss.loss_id,
        "reason": loss.reason,
        "count": loss.count,
        "bytes": loss.bytes,
        "first_at": datetime.fromtimestamp(loss.first_at, UTC),
        "last_at": datetime.fromtimestamp(loss.last_at, UTC),
        "host": fit_name(socket.gethostname()),
        "process_id": os.getpid(),
    }


def same_json(one: str | None, other: str | None) -> bool:
    """Whether two JSON texts are equal after decoding; a database may have reordered one."""
    return one == other or (one is not None and other is not None and bool(json.loads(one) == json.loads(other)))


def _with_documents(row: Row, keys: tuple[str, ...]) -> Row:
    for key in keys:
        if row[key] is not None:
            row[key] = EncodedJson(row[key])
    return row
