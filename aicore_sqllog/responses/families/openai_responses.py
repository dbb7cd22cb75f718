"""
OpenAI's responses API, and those who speak it.
"""

from typing import Any

from aicore_sqllog.responses.counts import Paths, as_index, as_name, at_path, read_counts
from aicore_sqllog.responses.family import Body, Family, Fields, compact, mappings, rest
from aicore_sqllog.responses.merge import extend_text
from aicore_sqllog.responses.tool_calls import tool_call

__all__ = ["OPENAI_RESPONSES"]

_PATHS: Paths = {
    "input_tokens": ("input_tokens",),
    "output_tokens": ("output_tokens",),
    "cache_read_tokens": ("input_tokens_details.cached_tokens",),
    "cache_write_tokens": ("input_tokens_details.cache_write_tokens",),
    "reasoning_tokens": ("output_tokens_details.reasoning_tokens",),
}
_STATES = frozenset({"queued", "in_progress", "cancelled", "completed", "incomplete", "failed"})
_UNSETTLED = frozenset({"queued", "in_progress", "cancelled"})
_FINAL_EVENTS = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})

_DELTAS: dict[str, tuple[str, str, str, str]] = {
    "response.output_text.delta": ("content", "content_index", "output_text", "text"),
    "response.refusal.delta": ("content", "content_index", "refusal", "refusal"),
    "response.reasoning_text.delta": ("content", "content_index", "reasoning_text", "text"),
    "response.reasoning_summary_text.delta": ("summary", "summary_index", "summary_text", "text"),
}
"""The event: the item's list that it adds to, where the event says which part, the part's type, the part's text."""

_ITEM_DELTAS = {
    "response.function_call_arguments.delta": ("function_call", "arguments"),
    "response.mcp_call_arguments.delta": ("mcp_call", "arguments"),
    "response.custom_tool_call_input.delta": ("custom_tool_call", "input"),
    "response.code_interpreter_call_code.delta": ("code_interpreter_call", "code"),
}
"""The event: the type of the item that it adds to, and the item's text."""


def _recognises(body: Body) -> bool:
    if body.get("object") in ("response", "response.compaction"):
        return isinstance(body.get("output"), list) or not {"status", "model", "usage"}.isdisjoint(body)
    if not (isinstance(body.get("output"), list) and as_name(body.get("status")) in _STATES and "id" in body):
        return False
    return "model" in body or all(isinstance(item, dict) and "type" in item for item in body["output"])


def _recognises_chunk(chunk: Body) -> bool:
    return isinstance(chunk.get("type"), str) and chunk["type"].startswith("response.")


def _read(body: Body) -> Fields:
    state = as_name(body.get("status"))
    return compact(
        {
            "operation_type": "chat",
            "status": None if state in _UNSETTLED else "error" if state == "failed" else "success",
            "response_model": as_name(body.get("model")),
            "response": _read_output(body.get("output")),
            "finish_reason": as_name(at_path(body, "incomplete_details.reason")) or state,
            **read_counts(body.get("usage"), _PATHS),
            "extras": rest(body, {"output", "model", "incomplete_details", "status"}),
        }
    )


def _read_output(output: object) -> Body | None:
    """Return the items of *output* as one message: the parts of its messages side by side with the other items."""
    items = mappings(output)
    content = [part for item in items for part in _parts_of(item)]
    if len(content) == 1 and isinstance(content[0], dict) and content[0].get("type") == "output_text":
        said = {name: value for name, value in content[0].items() if name not in ("type", "text") and value != []}
        return {"role": "assistant", "content": content[0].get("text"), **said}
    calls = [
        tool_call(item.get("call_id"), item.get("name"), item.get("arguments", item.get("input")))
        for item in items
        if item.get("type") in ("function_call", "custom_tool_call")
    ]
    if not items:
        return None
    return compact({"role": "assistant", "content": content, "tool_calls": calls or None})


def _parts_of(item: Body) -> list[Any]:
    parts = item.get("content")
    is_answer = item.get("type") == "message" and item.get("role") in (None, "assistant")
    if not is_answer or not isinstance(parts, list):
        return [rest(item, ())]  # a compacted conversation has the user's messages too
    of_the_message = rest(item, {"content", "type", "role"})
    return [{**of_the_message, **rest(part, ())} if isinstance(part, dict) else part for part in parts]


class _ResponseStream:
    def __init__(self) -> None:
        self.has_content = False
        self.is_complete = False
        self._response: Body = {}
        self._items: dict[int, Body] = {}

    def add(self, chunk: Body) -> None:
        event, index = chunk["type"], as_index(chunk.get("output_index"))
        if isinstance(chunk.get("response"), dict):
            self._response = chunk["response"]
            self.is_complete = self.is_complete or event in _FINAL_EVENTS
        elif isinstance(chunk.get("item"), dict):
            self._items[index] = chunk["item"]
            self.has_content = self.has_content or event.endswith(".done")
        elif chunk.get("delta"):
            self._add_text(event, index, chunk)

    def _add_text(self, event: str, index: int, chunk: Body) -> None:
        item = self._items.setdefault(index, {})
        if event in _DELTAS:
            parts, at, part_type, key = _DELTAS[event]
            item.setdefault("type", "message" if part_type in ("output_text", "refusal") else "reasoning")
            target = _part_at(item, parts, chunk.get(at), part_type)
        elif event in _ITEM_DELTAS:
            item_type, key = _ITEM_DELTAS[event]
            item.setdefault("type", item_type)
            target = item
        else:
            return
        self.has_content = extend_text(target, key, chunk["delta"]) or self.has_content

    def body(self) -> Body:
        items = [self._items[index] for index in sorted(self._items)]
        return {**self._response, "output": self._response.get("output") or items}


def _part_at(item: Body, key: str, index: object, part_type: str) -> Body:
    parts = item.get(key)
    if not isinstance(parts, list):
        parts = item[key] = []
    number = index if isinstance(index, int) and 0 <= index <= len(parts) else len(parts)
    if number == len(parts):
        parts.append({"type": part_type})
    if not isinstance(parts[number], dict):
        parts[number] = {"type": part_type}
    part: Body = parts[number]
    return part


OPENAI_RESPONSES = Family(
    name="OpenAI responses",
    recognises=_recognises,
    read=_read,
    recognises_chunk=_recognises_chunk,
    open_stream=_ResponseStream,
)
