"""
Gemini's interactions: steps of thought, of tools and of output, whole or streamed.
"""

from aicore_sqllog.responses.counts import Paths, as_index, as_name, at_path, read_counts, total
from aicore_sqllog.responses.family import Body, Family, Fields, compact, mappings, rest
from aicore_sqllog.responses.merge import merge_delta
from aicore_sqllog.responses.tool_calls import read_json, tool_call

__all__ = ["GEMINI_INTERACTIONS"]

_PATHS: Paths = {
    "input_tokens": ("total_input_tokens",),
    "output_tokens": ("total_output_tokens",),
    "cache_read_tokens": ("total_cached_tokens",),
    "reasoning_tokens": ("total_thought_tokens",),
}
_ENDS = frozenset({"completed", "requires_action", "incomplete", "failed", "cancelled"})


def _recognises(body: Body) -> bool:
    return body.get("object") == "interaction" and as_name(body.get("status")) is not None


def _recognises_chunk(chunk: Body) -> bool:
    event = as_name(chunk.get("event_type")) or ""
    return event.startswith("interaction.") or (event.startswith("step.") and "index" in chunk)


def _read(body: Body) -> Fields:
    steps = mappings(body.get("steps")) or mappings(body.get("outputs"))
    calls = [
        tool_call(step.get("id"), step.get("name"), step.get("arguments"))
        for step in steps
        if step.get("type") == "function_call"
    ]
    said = [part for step in steps if step.get("type") == "model_output" for part in mappings(step.get("content"))]
    others = [step for step in steps if step.get("type") not in ("function_call", "model_output")]
    is_text = len(said) == 1 and said[0].keys() == {"type", "text"} and not others
    message = {"content": said[0]["text"] if is_text else [*others, *said], "tool_calls": calls or None}
    status = as_name(body.get("status"))
    return compact(
        {
            "operation_type": "chat",
            "provider": "gcp.gemini",
            "status": "error" if status == "failed" else "success" if status in _ENDS else None,
            "response_model": as_name(body.get("model")),
            "response": compact({"role": "assistant", **message}) if steps else None,
            "finish_reason": status,
            **_read_usage(body.get("usage")),
            "extras": rest(body, {"steps", "outputs", "model", "status"}),
        }
    )


def _read_usage(usage: object) -> dict[str, int]:
    """Return the counts, inclusive: Gemini counts thoughts beside the output, and tools' results beside the input."""
    counts = read_counts(usage, _PATHS)
    tools = read_counts(usage, {"input": ("total_tool_use_tokens",)}).get("input")
    inclusive = {
        "input_tokens": total(counts.get("input_tokens"), tools),
        "output_tokens": total(counts.get("output_tokens"), counts.get("reasoning_tokens")),
    }
    return {**counts, **{name: count for name, count in inclusive.items() if count is not None}}


class _InteractionStream:
    def __init__(self) -> None:
        self.has_content = False
        self.is_complete = False
        self._body: Body = {"object": "interaction"}
        self._steps: dict[int, Body] = {}

    def add(self, chunk: Body) -> None:
        interaction, step = chunk.get("interaction"), chunk.get("step")
        if isinstance(interaction, dict):
            self._body.update(rest(interaction, ()))
        elif as_name(chunk.get("status")):
            self._body["status"] = chunk["status"]
        if "index" in chunk:
            held = self._steps.setdefault(as_index(chunk["index"]), {})
            merge_delta(held, step if isinstance(step, dict) else {})
            self._add_delta(held, chunk.get("delta"))
        if chunk.get("error"):
            self._body["error"] = chunk["error"]
        self.is_complete = as_name(self._body.get("status")) in _ENDS

    def _add_delta(self, step: Body, delta: object) -> None:
        if not isinstance(delta, dict):
            return
        self.has_content = self.has_content or bool(rest(delta, {"type"}))
        if "text" in delta and isinstance(step.setdefault("content", [{"type": "text"}]), list):
            merge_delta(step["content"][-1], rest(delta, {"type"}))
        else:
            merge_delta(step, rest(delta, {"type"}))

    def body(self) -> Body:
        steps = [_finished(self._steps[index]) for index in sorted(self._steps)]
        return {**self._body, "steps": steps} if steps else self._body


def _finished(step: Body) -> Body:
    return {**step, "arguments": read_json(step["arguments"])} if "arguments" in step else step


GEMINI_INTERACTIONS = Family(
    name="Gemini interactions",
    recognises=_recognises,
    read=_read,
    recognises_chunk=_recognises_chunk,
    open_stream=_InteractionStream,
    error=lambda body: body if at_path(body, "error.message") is not None else None,
)
