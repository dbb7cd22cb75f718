"""
LiteLLM's spend logs, the rows of its table ``LiteLLM_SpendLogs``: JSON (an array, or what its server answers), JSON
lines, or CSV with a head.
"""

import csv
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from aicore_sqllog.errors import TransferError
from aicore_sqllog.values.convert import to_instant

__all__ = ["is_litellm", "litellm_calls"]

_MARKS = frozenset({"request_id", "startTime", "spend"})
_KINDS = {"acompletion": "completion", "embedding": "embeddings", "aembedding": "embeddings"}
_KEPT = ("call_type", "api_base", "model_group", "model_id", "cache_hit", "request_tags", "metadata", "organization_id")
_LARGEST_CELL = 2**31 - 1


def is_litellm(path: Path) -> bool:
    """Whether the file at *path* begins with a row that has the columns of the table."""
    try:
        return path.is_file() and any(row.keys() >= _MARKS for _, row in islice(_rows(path), 1))
    except TransferError:
        return False


def litellm_calls(path: Path) -> Iterator[dict[str, Any]]:
    """
    Yield the fields of each call.

    Raises:
        TransferError: If a row cannot be read; the message has its number.
    """
    for number, row in _rows(path):
        if not row.get("request_id"):
            raise TransferError(f"row {number} of {path} has no request_id. Correct the file, and import again.")
        yield {name: value for name, value in _fields(row).items() if value not in (None, "", {}, [])}


def _fields(row: Mapping[str, Any]) -> dict[str, Any]:
    metadata = _document(row.get("metadata"))
    usage = _part(metadata, "usage_object")
    details = _part(usage, "prompt_tokens_details")
    error = _part(metadata, "error_information")
    started, ended, first = (_moment(row.get(name)) for name in ("startTime", "endTime", "completionStartTime"))
    was_counted = bool(_number(row.get("total_tokens")))  # 0 is the table's word for not known
    is_failure = row.get("status") == "failure" or bool(error.get("error_class"))
    kind = str(row.get("call_type") or "")
    return {
        "operation_id": str(row["request_id"]),
        "session_id": row.get("session_id"),
        "timestamp": ended or started,
        "operation_type": _KINDS.get(kind, kind),
        "provider": row.get("custom_llm_provider"),
        "model": row.get("model"),
        "input_tokens": _number(row.get("prompt_tokens")) if was_counted else None,
        "output_tokens": _number(row.get("completion_tokens")) if was_counted else None,
        "cache_read_tokens": usage.get("cache_read_input_tokens") or details.get("cached_tokens"),
        "cache_write_tokens": usage.get("cache_creation_input_tokens"),
        "cost": _number(row.get("spend")) if was_counted or _number(row.get("spend")) else None,
        "latency_ms": _number(row.get("request_duration_ms")) or _milliseconds(started, ended),
        "time_to_first_token_ms": _milliseconds(started, first) if first != ended else None,
        "status": "error" if is_failure else "success",
        "error_type": error.get("error_class"),
        "error_message": error.get("error_message"),
        "user_id": row.get("end_user") or row.get("user"),
        "workspace": row.get("team_id"),
        "agent_id": row.get("agent_id"),
        "messages": _document(row.get("messages")),
        "response": _document(row.get("response")),
        "extras": {"litellm": {name: _document(row[name]) for name in _KEPT if row.get(name)}},
    }


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows with their numbers, from 1."""
    with path.open("rb") as file:
        start = file.read(256).lstrip()[:1]
    if start == b"[":
        yield from _numbered(path, _load(path.read_bytes(), path, 1))
    elif start == b"{":
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield from _numbered(path, [_load(line, path, number)], number)
    else:
        csv.field_size_limit(_LARGEST_CELL)
        with path.open(encoding="utf-8", errors="replace", newline="") as text:
            try:
                yield from enumerate(csv.DictReader(text, restkey="", strict=True), 1)
            except csv.Error as exc:
                raise TransferError(f"{path} is no CSV: {exc}.") from None


def _numbered(path: Path, rows: Any, first: int = 1) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, row in enumerate(rows, first):
        if not isinstance(row, dict):
            raise TransferError(f"row {number} of {path} is no object.")
        yield number, row


def _load(text: bytes, path: Path, number: int) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:
        raise TransferError(f"line {number} of {path} is no JSON.") from None


def _document(value: Any) -> Any:
    """Return what a JSON text says; a CSV holds documents as texts, and so do some drivers."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return orjson.loads(value)
        except ValueError:
            return value
    return value


def _part(document: Any, name: str) -> dict[str, Any]:
    found = document.get(name) if isinstance(document, dict) else None
    return found if isinstance(found, dict) else {}


def _number(value: Any) -> float | int | None:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
        return int(value) if value.is_integer() else value
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _moment(value: Any) -> datetime | None:
    """Return a time of the table, which has no zone and is in UTC."""
    moment = to_instant(value)[0] if isinstance(value, str) else None
    return moment and (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment)


def _milliseconds(start: datetime | None, end: datetime | None) -> int | None:
    if start is None or end is None or end < start:
        return None
    return round((end - start).total_seconds() * 1000)
