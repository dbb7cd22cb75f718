"""
From call records to rows: dictionaries with every key, so that a batch is one statement a table.
"""

import json
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, TypeAlias

from aicore_sqllog.batching.counts import Loss
from aicore_sqllog.record.call_record import OPERATION_KEYS, CallRecord, Session
from aicore_sqllog.record.columns import OPERATIONS, SESSIONS, Column, ColumnKind
from aicore_sqllog.storage.types import EncodedJson
from aicore_sqllog.values.ids import message_id
from aicore_sqllog.values.text import fit_name

__all__ = ["Row", "loss_row", "message_rows", "operation_row", "same_json", "session_row"]

Row: TypeAlias = dict[str, Any]


def _documents(columns: tuple[Column, ...]) -> tuple[str, ...]:
    return tuple(column.key for column in columns if column.kind is ColumnKind.JSON)


_OPERATION_DOCUMENTS, _SESSION_DOCUMENTS = _documents(OPERATIONS), _documents(SESSIONS)


def session_row(session: Session) -> Row:
    """Return the row of a session."""
    return _with_documents(dict(zip(Session._fields, session, strict=True)), _SESSION_DOCUMENTS)


def operation_row(record: CallRecord, operation_id: str) -> Row:
    """Return the row of a record's operation."""
    row = _with_documents(dict(zip(OPERATION_KEYS, record.operation, strict=True)), _OPERATION_DOCUMENTS)
    row["operation_id"] = operation_id
    return row


def message_rows(record: CallRecord, operation_id: str) -> Iterator[Row]:
    """Yield the rows of a record's messages, numbered from 0; their ids follow from the record's minted id."""
    for number, (role, content, parts) in enumerate(record.messages):
        yield {
            "message_id": message_id(record.minted_id, number),
            "operation_id": operation_id,
            "role": role,
            "content": content,
            "sequence_number": number,
            "parts": None if parts is None else EncodedJson(parts),
        }


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
