"""
Cohere's chat, version 1, also as Bedrock hands it on.
"""

from aicore_sqllog.responses.counts import Paths, as_name, read_counts
from aicore_sqllog.responses.family import Body, Family, Fields, compact, mappings, rest
from aicore_sqllog.responses.merge import extend_text
from aicore_sqllog.responses.tool_calls import tool_call

__all__ = ["COHERE_CHAT_V1"]

_PATHS: Paths = {
    "input_tokens": ("tokens.input_tokens", "billed_units.input_tokens"),
    "output_tokens": ("tokens.output_tokens", "billed_units.output_tokens"),
    "cache_read_tokens": ("cached_tokens",),
}
_EVENTS = frozenset(
    {
        "stream-start",
        "search-queries-generation",
        "search-results",
        "text-generation",
        "citation-generation",
        "tool-calls-generation",
        "tool-calls-chunk",
        "stream-end",
    }
)
_USED = frozenset({"text", "finish_reason", "tool_calls", "chat_history"})
"""The history ends with the answer, and begins with what was asked."""


def _recognises(body: Body) -> bool:
    is_answer = isinstance(body.get("text"), str) and "generation_id" in body
    return is_answer and not {"chat_history", "response_id", "meta"}.isdisjoint(body)


def _recognises_chunk(chunk: Body) -> bool:
    return as_name(chunk.get("event_type")) in _EVENTS


def _read(body: Body) -> Fields:
    calls = [tool_call(None, call.get("name"), call.get("parameters")) for call in mappings(body.get("tool_calls"))]
    return compact(
        {
            "operation_type": "chat",
            "provider": "cohere" if "meta" in body else None,
            "status": "success",
            "response": compact({"role": "assistant", "content": body.get("text"), "tool_calls": calls or None}),
            "finish_reason": as_name(body.get("finish_reason")),
            **read_counts(body.get("meta"), _PATHS),
            "extras": rest(body, _USED),
        }
    )


class _CohereV1Stream:
    """The last event holds the whole answer; until it comes, the pieces are all there is."""

    def __init__(self) -> None:
        self.has_content = False
        self.is_complete = False
        self._body: Body = {}

    def add(self, chunk: Body) -> None:
        event, whole = as_name(chunk.get("event_type")), chunk.get("response")
        if event == "stream-end":
            self.is_complete = True
            self._body.update(rest(whole, ()) if isinstance(whole, dict) else {})
            self._body.update(rest(chunk, {"event_type", "response", "is_finished"}))
        elif event == "text-generation":
            self.has_content = extend_text(self._body, "text", chunk.get("text")) or self.has_content
        else:
            self.has_content = self.has_content or bool(chunk.get("tool_calls") or chunk.get("tool_call_delta"))
            self._body.update(rest(chunk, {"event_type", "is_finished", "text", "tool_call_delta"}))

    def body(self) -> Body:
        return self._body


COHERE_CHAT_V1 = Family(
    name="Cohere chat, version 1",
    recognises=_recognises,
    read=_read,
    recognises_chunk=_recognises_chunk,
    open_stream=_CohereV1Stream,
)
