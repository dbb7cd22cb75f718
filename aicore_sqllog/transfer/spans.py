"""
Operations as spans of OpenTelemetry's GenAI conventions: JSON lines, each one ``TracesData`` of OTLP with one span.

The names are the newest that the conventions have; ``record/aliases.py`` reads them back. A session is a trace. The
source of layout and names: opentelemetry.io/docs/specs/semconv/gen-ai, opentelemetry.io/docs/specs/otlp.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from aicore_sqllog.transfer.files import write_safely

__all__ = ["spans", "write_spans"]

_ATTRIBUTES: Mapping[str, str] = {
    "provider": "gen_ai.provider.name",
    "model": "gen_ai.request.model",
    "response_model": "gen_ai.response.model",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_write.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
    "session_id": "gen_ai.conversation.id",
    "agent_id": "gen_ai.agent.id",
    "user_id": "user.id",
    "error_type": "error.type",
    # What the conventions have no name for.
    "cost": "aicore_sqllog.cost",
    "workspace": "aicore_sqllog.workspace",
    "action_id": "aicore_sqllog.action_id",
    "status": "aicore_sqllog.status",
    "extras": "aicore_sqllog.extras",
}
_OPERATION_NAMES = {"completion": "chat", "embedding": "embeddings"}
"""Ours by the conventions' for the same; any other stays as it is."""

_FINISH_REASONS = {"tool_calls": "tool_call", "tool_use": "tool_call"}

_CLIENT, _ERROR = 3, 2
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def write_spans(path: Path, operations: pl.DataFrame, messages: pl.DataFrame) -> None:
    """Write the spans of *operations*, with their *messages*, to *path*; see ``write_safely``."""
    with write_safely(path) as file:
        for span in spans(operations, messages):
            file.write(orjson.dumps(_traces(span), option=orjson.OPT_APPEND_NEWLINE))


def spans(operations: pl.DataFrame, messages: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the span of each of *operations*."""
    of_operation: dict[str, list[dict[str, Any]]] = {}
    for message in messages.iter_rows(named=True):
        of_operation.setdefault(message["operation_id"], []).append(message)
    for operation in operations.iter_rows(named=True):
        yield _span(operation, of_operation.get(operation["operation_id"], ()))


def _span(operation: Mapping[str, Any], messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    # The time of an operation is that of its log call, which comes at its end.
    ended = (operation["timestamp"] - _EPOCH) // _MICROSECOND * 1_000
    kind = operation["operation_type"] or "completion"
    name = _OPERATION_NAMES.get(kind, kind)
    span = {
        "traceId": operation["session_id"].replace("-", ""),
        "spanId": _span_id(operation["operation_id"]),
        "name": " ".join(filter(None, (name, operation["model"]))),
        "kind": _CLIENT,
        "startTimeUnixNano": str(ended - (operation["latency_ms"] or 0) * 1_000_000),
        "endTimeUnixNano": str(ended),
        "attributes": [{"key": key, "value": value} for key, value in _attributes(name, operation, messages)],
    }
    if operation["parent_operation_id"] is not None:
        span["parentSpanId"] = _span_id(operation["parent_operation_id"])
    if operation["status"] == "error":
        span["status"] = {"code": _ERROR, "message": operation["error_message"] or ""}
    return span


def _span_id(operation_id: str) -> str:
    """Return the random part of the id: a span's has 64 bits."""
    return operation_id.replace("-", "")[16:]


def _attributes(
    name: str, operation: Mapping[str, Any], messages: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "gen_ai.operation.name", {"stringValue": name}
    for column, attribute in _ATTRIBUTES.items():
        if operation[column] is not None:
            yield attribute, _value(operation[column])
    if operation["finish_reason"] is not None:
        reasons = operation["finish_reason"].split(",")
        values = [{"stringValue": _FINISH_REASONS.get(reason, reason)} for reason in reasons]
        yield "gen_ai.response.finish_reasons", {"arrayValue": {"values": values}}
    if operation["time_to_first_token_ms"] is not None:
        yield "gen_ai.response.time_to_first_chunk", {"doubleValue": operation["time_to_first_token_ms"] / 1000}
    if any(message["content"] is not None or message["parts"] is not None for message in messages):
        yield from _said(list(map(_message, messages)))


def _said(messages: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what was said: the system's instructions, what was asked, and the answer, where there is one."""
    answers = [messages.pop()] if messages and messages[-1]["role"] == "assistant" else []
    instructions = [part for message in messages if message["role"] == "system" for part in message["parts"]]
    asked = [message for message in messages if message["role"] != "system"]
    for name, said in (("system_instructions", instructions), ("input.messages", asked), ("output.messages", answers)):
        if said:
            yield f"gen_ai.{name}", {"stringValue": orjson.dumps(said).decode()}


def _value(value: object) -> dict[str, Any]:
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message in the form of the conventions: a role and typed parts."""
    role, content = message["role"] or "user", message["content"]
    more = orjson.loads(message["parts"]) if message["parts"] else {}
    if not isinstance(more, dict):
        more = {"content": more}
    if isinstance(more.get("parts"), list):  # it came in this form
        return {"role": role, "parts": more["parts"]}
    parts: list[Any] = []
    if content is not None and role == "tool":
        parts.append({"type": "tool_call_response", "id": more.get("tool_call_id"), "response": content})
    elif isinstance(more.get("content"), list):  # of which the text is only what a person reads
        parts.extend({"type": "generic", "value": part} for part in more["content"])
    elif content is not None:
        parts.append({"type": "text", "content": content})
    calls = more.get("tool_calls")
    parts.extend(_tool_call(call) for call in calls or () if isinstance(call, dict))
    return {"role": role, "parts": parts}


def _tool_call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call.get("function")
    function = function if isinstance(function, dict) else call
    named = {"id": call.get("id"), "name": function.get("name"), "arguments": function.get("arguments")}
    return {"type": "tool_call", **{name: value for name, value in named.items() if value is not None}}


def _traces(span: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "aicore_sqllog"}}]},
                "scopeSpans": [{"scope": {"name": "aicore_sqllog"}, "spans": [span]}],
            }
        ]
    }
