"""Call records as capture makes them, and what is stored of them."""

import json
import logging
from typing import Any

from aicore_sqllog.capture.build import Defaults, RecordBuilder
from aicore_sqllog.capture.snapshot import take_snapshot
from aicore_sqllog.record.call_record import CallRecord
from tests.support.servers import execute

WORKSPACE = "home"
"""The default workspace of what :func:`capture` returns."""

_BUILDER, _BUILDER_AT_HOME = RecordBuilder(Defaults()), RecordBuilder(Defaults(workspace=WORKSPACE))


def log_record(
    extra: dict[str, Any], level: int = logging.INFO, msg: str = "said", exc: Any = None
) -> logging.LogRecord:
    """Return the log record of a call of a logger."""
    return logging.getLogger("capture").makeRecord("capture", level, __file__, 1, msg, (), exc, None, extra)


def capture(extra: dict[str, Any], **options: Any) -> CallRecord:
    """Return what is made of a log record that carries *extra*."""
    return _built(log_record(extra, **options), _BUILDER_AT_HOME)


def own(record: CallRecord) -> dict[str, Any]:
    """Return what this package notes beside the extras of *record*."""
    noted: dict[str, Any] = json.loads(record.extras)["sqllog"]
    return noted


def records(count: int, **fields: Any) -> list[CallRecord]:
    """Return *count* records with three messages each; every second has no model."""
    made = []
    for number in range(count):
        llm = {"model": None if number % 2 else "m", "messages": ["a", "b"], "response": "c", **fields}
        made.append(_built(logging.makeLogRecord({"llm": llm}), _BUILDER))
    return made


def counts(url: str) -> list[int]:
    """Return how many sessions, operations and messages are stored."""
    return [execute(url, f"select count(*) from llm_{table}")[0][0] for table in ("sessions", "operations", "messages")]


def _built(record: logging.LogRecord, builder: RecordBuilder) -> CallRecord:
    snapshot = take_snapshot(record)
    assert snapshot is not None
    return builder.build(snapshot)
