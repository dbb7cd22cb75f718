"""
Cohere's chat, version 2.
"""

from aicore_sqllog.responses.counts import Paths, as_index, as_name, at_path, read_counts
from aicore_sqllog.responses.family import Body, Family, Fields, compact, mappings, rest
from aicore_sqllog.responses.merge import extend_text, merge_delta, merge_usage

__all__ = ["COHERE_CHAT"]

_PATHS: Paths = {
    "input_tokens": ("tokens.input_tokens", "billed_units.input_tokens"),
    "output_tokens": ("tokens.output_tokens", "billed_units.output_tokens"),
    "cache_read_tokens": ("cached_tokens",),
}
_FAILURES = frozenset({"ERROR", "ERROR_TOXIC", "TIMEOUT"})


def _recognises(body: Body) -> bool:
    counts = at_path(body, "usage.tokens") or at_path(body, "usage.billed_units")
    return isinstance(body.get("message"), dict) and "finish_reason" in body and isinstance(counts, dict)


def _recognises_chunk(chunk: Body) -> bool:
    event = as_name(chunk.get("type")) or ""
    if event == "message-end":
        return isinstance(chunk.get("delta"), dict)
    begins = ("message-", "content-", "tool-", "citation-")
    return event.startswith(begins) and (at_path(chunk, "delta.message") is not None or event.endswith("-end"))


def _read(body: Body) -> Fields:
    said = body["message"] if isinstance(body.get("message"), dict) else {}
    parts = mappings(said.get("content"))
    is_text = len(parts) == 1 and parts[0].keys() == {"type", "text"}
    message = {"role": "assistant", **rest(said, ()), "content": parts[0]["text"] if is_text else said.get("content")}
    return compact(
        {
            "operation_type": "chat",
            "provider": "cohere",
            "status": "success",
            "response": compact(message),
            "finish_reason": as_name(body.get("finish_reason")),
            **read_counts(body.get("usage"), _PATHS),
            "extras": rest(body, {"message", "finish_reason"}),
        }
    )


def _error(body: Body) -> Body | None:
    reason = as_name(body.get("finish_reason"))
    return {"error": f"the answer ended with finish_reason {reason!r}"} if reason in _FAILURES else None


class _CohereStream:
    def __init__(self) -> None:
        self.has_content = False
        self.is_complete = False
        self._body: Body = {}
        self._usage: Body = {}
        self._message: Body = {}
        self._parts: dict[int, Body] = {}
        self._calls: dict[int, Body] = {}

    def add(self, chunk: Body) -> None:
        event, index = as_name(chunk.get("type")), as_index(chunk.get("index"))
        delta = chunk["delta"] if isinstance(chunk.get("delta"), dict) else {}
        said = delta["message"] if isinstance(delta.get("message"), dict) else {}
        if isinstance(said.get("content"), dict):
            self._add(self._parts.setdefault(index, {}), said["content"])
        if isinstance(said.get("tool_calls"), dict):
            self._add(self._calls.setdefault(index, {}), said["tool_calls"])
        if isinstance(said.get("citations"), dict):
            self._message.setdefault("citations", []).append(said["citations"])
        self.has_content = extend_text(self._message, "tool_plan", said.get("tool_plan")) or self.has_content
        if event == "message-end":
            self.is_complete = True
            self._body.update(rest(delta, {"message", "usage"}))
            merge_usage(self._usage, delta.get("usage"))
        elif isinstance(chunk.get("id"), str):
            self._body["id"] = chunk["id"]

    def _add(self, part: Body, piece: Body) -> None:
        self.has_content = self.has_content or any(bool(piece.get(key)) for key in ("text", "thinking", "function"))
        merge_delta(part, piece)

    def body(self) -> Body:
        parts = [self._parts[index] for index in sorted(self._parts)]
        calls = [self._calls[index] for index in sorted(self._calls)]
        message = {**self._message, "content": parts or None, "tool_calls": calls or None}
        return {**self._body, "usage": self._usage, "message": message}


COHERE_CHAT = Family(
    name="Cohere chat",
    recognises=_recognises,
    read=_read,
    recognises_chunk=_recognises_chunk,
    open_stream=_CohereStream,
    error=_error,
)
