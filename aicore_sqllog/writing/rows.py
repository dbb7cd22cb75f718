"""
From call records to rows: dictionaries with every key, so that a batch is one statement a table.
"""

import json
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from aicore_sqllog.batching.counts import Loss
from aicore_sqllog.record.call_record import CallRecord, Session
from aicore_sqllog.storage.types import EncodedJson
from aicore_sqllog.values.ids import message_id, mint
from aicore_sqllog.values.text import fit_name

__all__ = ["loss_row", "message_rows", "operation_row", "same_json", "session_row", "with_session_metadata"]

Row = dict[str, Any]


def session_row(session: Session) -> Row:
    """Return the row of a session."""
    return {
        "session_id": session.session_id,
        "workspace": session.workspace,
        "agent_id": session.agent_id,
        "created_at": session.created_at,
        "session_metadata": _encoded(session.metadata),
        "session_key": session.session_key,
    }


def operation_row(record: CallRecord, operation_id: str, extras: str) -> Row:
    """Return the row of a record's operation."""
    return {
        "operation_id": operation_id,
        "session_id": record.session.session_id,
        "action_id": record.action_id,
        "timestamp": record.timestamp,
        "operation_type": record.operation_type,
        "provider": record.provider,
        "model": record.model,
        "input_tokens": record.input_tokens,
        "output_tokens": record.output_tokens,
        "latency_ms": record.latency_ms,
        "cost": record.cost,
        "status": record.status,
        "error_message": record.error_message,
        "extras": EncodedJson(extras),
        "workspace": record.workspace,
        "agent_id": record.agent_id,
        "user_id": record.user_id,
        "parent_operation_id": record.parent_operation_id,
        "response_model": record.response_model,
        "finish_reason": record.finish_reason,
        "error_type": record.error_type,
        "cache_read_tokens": record.cache_read_tokens,
        "cache_write_tokens": record.cache_write_tokens,
        "reasoning_tokens": record.reasoning_tokens,
        "time_to_first_token_ms": record.time_to_first_token_ms,
    }


def message_rows(record: CallRecord, operation_id: str) -> Iterator[Row]:
    """Yield the rows of a record's messages, numbered from 0; their ids follow from the record's minted id."""
    for number, message in enumerate(record.messages):
        yield {
            "message_id": message_id(record.minted_id, number),
            "operation_id": operation_id,
            "role": message.role,
            "content": message.content,
            "sequence_number": number,
            "parts": _encoded(message.parts),
        }


def loss_row(loss: Loss) -> Row:
    """Return the row of a loss, in this process on this host."""
    return {
        "loss_id": mint(),
        "reason": loss.reason,
        "count": loss.count,
        "bytes": loss.bytes,
        "first_at": datetime.fromtimestamp(loss.first_at, UTC),
        "last_at": datetime.fromtimestamp(loss.last_at, UTC),
        "host": fit_name(socket.gethostname()),
        "process_id": os.getpid(),
    }


def with_session_metadata(record: CallRecord) -> str:
    """Return the record's extras with its session metadata noted, for the session's row holds another."""
    extras = json.loads(record.extras)
    extras["sqllog"]["session_metadata"] = json.loads(record.session.metadata or "null")
    return json.dumps(extras, ensure_ascii=False, separators=(",", ":"))


def same_json(one: str | None, other: str | None) -> bool:
    """Whether two JSON texts are equal after decoding; a database may have reordered one."""
    return one == other or (one is not None and other is not None and bool(json.loads(one) == json.loads(other)))


def _encoded(text: str | None) -> EncodedJson | None:
    return None if text is None else EncodedJson(text)
