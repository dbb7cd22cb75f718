"""
What a span of OpenTelemetry's GenAI conventions tells, as fields of a record: today's names and yesterday's.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from aicore_sqllog.record.aliases import ALIASES

__all__ = ["EVALUATION", "event_messages", "fields_of", "is_about_a_model"]

EVALUATION = "gen_ai.evaluation.result"
_MARKS = ("gen_ai.", "mcp.method.name", "llm.request.type")
_FLAT = re.compile(r"gen_ai\.(prompt|completion)\.(\d{1,4})\.(.+)")
"""As instrumentations wrote messages before attributes held JSON: ``gen_ai.prompt.0.role``."""

_CALL = re.compile(r"tool_calls\.(\d{1,4})\.(id|name|arguments)")
_ROLES = {"gen_ai.system.message": "system", "gen_ai.user.message": "user", "gen_ai.tool.message": "tool"}
_ASSISTANT, _CHOICE = "gen_ai.assistant.message", "gen_ai.choice"
_TEXTS = {
    "pydantic_ai.all_messages": "messages",
    "all_messages_events": "messages",
    "final_result": "response",
    "tool_arguments": "gen_ai.tool.call.arguments",
    "tool_response": "gen_ai.tool.call.result",
}
"""Attributes of frameworks that hold what was said, and the field that keeps it, unless another has it already."""

_DROPPED = ("logfire.json_schema", "logfire.msg", "gen_ai.tool.definitions", "model_request_parameters")
_TYPES = {"completion": "text_completion", "embedding": "embeddings"}


def is_about_a_model(names: Any) -> bool:
    """Whether a span with these attributes is a call of a model, of a tool or of an agent."""
    return any(isinstance(name, str) and name.startswith(_MARKS) for name in names)


def fields_of(span: Any, events: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """
    Return the fields that an ended *span* tells, with its *events*, by name: its own and those that were logged in it.

    What is no field is in ``extras``, with the ids of the trace and the span.
    """
    attributes = dict(span.attributes or {})
    told = {name: item for name, item in attributes.items() if name.startswith("gen_ai.") or name in ALIASES}
    fields: dict[str, Any] = {name: item for name, item in told.items() if not _FLAT.match(name)}
    for name in _DROPPED:
        fields.pop(name, None)
    details = {name: item for _, said in events for name, item in said.items() if name in ALIASES}
    fields = {**details, **fields, **_flat_messages(attributes)}
    _add_kind(fields, attributes, span.name)
    others = {name: item for name, item in attributes.items() if name not in told and name not in _DROPPED}
    for name, field in _TEXTS.items():
        text = others.pop(name, None)
        has_one = any(known in fields for known in (field, *_also(field)))
        if text is not None and not has_one:
            fields[field] = text
    context = span.get_span_context()
    trace = {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}", "span": span.name}
    evaluations = [dict(said) for name, said in events if name == EVALUATION]
    extras = {**others, "opentelemetry": trace, **({"evaluations": evaluations} if evaluations else {})}
    return {**event_messages(events, fields), **fields, **_outcome(span, events), "extras": extras}


def _also(field: str) -> tuple[str, ...]:
    return {"messages": ("gen_ai.input.messages",), "response": ("gen_ai.output.messages",)}.get(field, ())


def _add_kind(fields: dict[str, Any], attributes: Mapping[str, Any], name: str) -> None:
    if "gen_ai.operation.name" in fields:  # a name of ours, which wins over the one that nobody chose
        fields["operation_type"] = fields.pop("gen_ai.operation.name")
        return
    method, kind = attributes.get("mcp.method.name"), attributes.get("llm.request.type")
    if method is not None:
        fields["operation_type"] = "execute_tool" if method == "tools/call" else str(method)
        if "gen_ai.tool.name" not in fields:
            fields["action_id"] = attributes.get("mcp.tool.name") or name
    elif isinstance(kind, str):
        fields["operation_type"] = _TYPES.get(kind, kind)
    elif "gen_ai.tool.name" in fields:
        fields["operation_type"] = "execute_tool"


def _outcome(span: Any, events: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """Return how long it took and whether it failed; the span's times are nanoseconds since 1970."""
    found: dict[str, Any] = {"timestamp": span.end_time / 1e9, "latency_ms": (span.end_time - span.start_time) / 1e6}
    raised = next((said for name, said in events if name == "exception"), {})
    if span.status.status_code.name == "ERROR" or "error.type" in (span.attributes or {}):
        found["status"] = "error"
        found["error_message"] = raised.get("exception.message") or span.status.description
        found["error_type"] = (span.attributes or {}).get("error.type") or raised.get("exception.type")
    return {name: item for name, item in found.items() if item is not None}


def event_messages(events: Sequence[tuple[str, Mapping[str, Any]]], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the messages that events tell one by one, as the conventions had it; none where *fields* has them."""
    asked = [_message(_ROLES.get(name, "assistant"), said) for name, said in events if name in (*_ROLES, _ASSISTANT)]
    choices = [said for name, said in events if name == _CHOICE]
    answers = [_message("assistant", _inner(said.get("message")) or said) for said in choices]
    found: dict[str, Any] = {}
    if any(len(message) > 1 for message in asked) and not {"gen_ai.input.messages", "messages"} & fields.keys():
        found["messages"] = asked
    if any(len(message) > 1 for message in answers) and not {"gen_ai.output.messages", "response"} & fields.keys():
        found["response"] = answers[0] if len(answers) == 1 else answers
    return found


def _inner(message: Any) -> Mapping[str, Any] | None:
    return message if isinstance(message, Mapping) else None


def _message(role: str, said: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: item for name, item in said.items() if name in ("content", "tool_calls", "id", "name")}
    return {"role": str(said.get("role") or role), **kept}


def _flat_messages(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the messages that stand in one attribute for each of their parts."""
    found: dict[str, dict[int, dict[str, Any]]] = {"prompt": {}, "completion": {}}
    for name, item in attributes.items():
        if match := _FLAT.match(name):
            message = found[match[1]].setdefault(int(match[2]), {})
            if call := _CALL.fullmatch(match[3]):
                message.setdefault("tool_calls", {}).setdefault(int(call[1]), {})[call[2]] = item
            else:
                message[match[3]] = item
    asked, answers = ([_ordered(messages[at]) for at in sorted(messages)] for messages in found.values())
    reasons = [answer.pop("finish_reason") for answer in answers if "finish_reason" in answer]
    fields: dict[str, Any] = {"messages": asked} if asked else {}
    if answers:
        fields["response"] = [{"role": "assistant", **answer} for answer in answers]
    return {**fields, **({"finish_reason": ",".join(map(str, reasons))} if reasons else {})}


def _ordered(message: dict[str, Any]) -> dict[str, Any]:
    calls = message.get("tool_calls")
    if not isinstance(calls, dict):
        return message
    made = [
        {"id": calls[at].get("id"), "type": "function", "function": {k: v for k, v in calls[at].items() if k != "id"}}
        for at in sorted(calls)
    ]
    return {**message, "tool_calls": made}
