"""
The logs of other programs: each of their calls becomes a record, as if it had been logged here, and is stored once.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from aicore_sqllog.capture.build import Defaults, RecordBuilder
from aicore_sqllog.capture.snapshot import take_snapshot
from aicore_sqllog.errors import DatabaseError, TransferError
from aicore_sqllog.record.call_record import CallRecord
from aicore_sqllog.storage.connection import Place
from aicore_sqllog.transfer.export import Progress
from aicore_sqllog.transfer.litellm_logs import is_litellm, litellm_calls
from aicore_sqllog.transfer.llm_logs import is_llm, llm_calls
from aicore_sqllog.transfer.load import Imported
from aicore_sqllog.transfer.tables import OPERATIONS
from aicore_sqllog.values.convert import to_instant
from aicore_sqllog.writing.triage import NotWritten
from aicore_sqllog.writing.writer import Writer

__all__ = ["Foreign", "import_foreign", "recognise"]

_BATCH = 500


class Foreign(NamedTuple):
    """A log of another program."""

    program: str
    calls: Callable[[Path], Iterator[dict[str, Any]]]


def recognise(path: Path) -> Foreign:
    """
    Return what kind of log the file at *path* is.

    Raises:
        TransferError: If it is none that is known, or cannot be read.
    """
    try:
        if is_llm(path):
            return Foreign("llm", llm_calls)
        if is_litellm(path):
            return Foreign("litellm", litellm_calls)
    except OSError as exc:
        raise TransferError(f"{path} cannot be read: {exc.strerror}.") from None
    raise TransferError(
        f"{path} is no log that is known. Known: the folder of an export, the logs.db of llm, and LiteLLM's spend logs "
        "as JSON, JSON lines or CSV."
    )


def import_foreign(
    place: Place,
    path: Path,
    *,
    progress: Progress = lambda table, rows: None,
    say: Callable[[str], None] = lambda text: None,
) -> Imported:
    """
    Import the log of another program at *path*; a call that was imported before is found, and left as it is.

    Raises:
        TransferError: If the file is no log that is known, or is damaged.
        DatabaseError: If the database cannot be written to; the same import goes on.
    """
    foreign = recognise(path)
    builder = RecordBuilder(Defaults(session_id=f"imported from {foreign.program}"))
    writer, result = Writer(place, say=say), Imported()
    calls = (_record(builder, foreign.program, fields) for fields in foreign.calls(path))
    try:
        while batch := list(islice(calls, _BATCH)):
            # As a further attempt: what is stored already is looked for.
            outcome = writer.write(batch, attempt=2)
            if outcome.dead_lettered or outcome.dropped:
                say(
                    f"{outcome.dead_lettered + outcome.dropped} calls were refused; see `aicore-sqllog journal inspect`"
                )
            result.add(OPERATIONS.name, len(batch), outcome.committed)
            progress(OPERATIONS.name, len(batch))
    except NotWritten as exc:
        raise DatabaseError(f"Nothing more can be imported: {exc.fault}") from exc
    finally:
        writer.close()
    return result


def _record(builder: RecordBuilder, program: str, fields: dict[str, Any]) -> CallRecord:
    """Return the record of *fields*, with an id that is the same whenever the call is imported."""
    log_record = logging.makeLogRecord(
        {"name": program, "levelname": "INFO", "levelno": logging.INFO, "msg": "imported"}
    )
    log_record.llm = fields
    snapshot = take_snapshot(log_record)
    assert snapshot is not None
    at = to_instant(fields.get("timestamp"))[0] or datetime.fromtimestamp(0, UTC)
    return builder.build(snapshot._replace(minted_id=_steady_id(at, f"{program}\n{fields['operation_id']}")))


def _steady_id(at: datetime, key: str) -> Any:
    """Return a UUIDv7 of *at* whose other bits are a hash of *key*."""
    rest = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=10).digest())
    milliseconds = max(0, int(at.timestamp() * 1000)) & ((1 << 48) - 1)
    value = milliseconds << 80 | 7 << 76 | (rest >> 62 & 0xFFF) << 64 | 2 << 62 | rest & ((1 << 62) - 1)
    return UUID(int=value)
