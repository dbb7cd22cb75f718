"""
Gemini's generateContent, from Google AI or Vertex AI, as its JSON (camelCase) or as the SDK writes it (snake_case).
"""

from typing import Any

from aicore_sqllog.responses.counts import Paths, as_count, as_index, as_name, at_path, read_counts, total
from aicore_sqllog.responses.family import Body, Family, Fields, compact, mappings, one_message, rest
from aicore_sqllog.responses.merge import join_text, merge_usage
from aicore_sqllog.responses.tool_calls import tool_call

__all__ = ["GEMINI", "camel_case"]

_PATHS: Paths = {
    "input_tokens": ("promptTokenCount",),
    "output_tokens": ("candidatesTokenCount", "responseTokenCount"),
    "cache_read_tokens": ("cachedContentTokenCount",),
    "reasoning_tokens": ("thoughtsTokenCount",),
    "tool_prompt_tokens": ("toolUsePromptTokenCount",),
}
_PARTS_OF_TOTAL: Paths = {
    name: (name,)
    for name in (
        "promptTokenCount",
        "toolUsePromptTokenCount",
        "candidatesTokenCount",
        "responseTokenCount",
        "thoughtsTokenCount",
    )
}
_OF_THE_CALLER = frozenset({"args", "response", "parsed"})
"""Values whose keys are the application's own."""

_OF_THE_SDK = frozenset({"sdkHttpResponse", "parsed"})
_USED = frozenset({"candidates", "modelVersion", "automaticFunctionCallingHistory"}) | _OF_THE_SDK


def _recognises(body: Body) -> bool:
    """Whether *body* is Gemini's: its words are those of others too, so each is taken with what stands in it."""
    candidates = mappings(body.get("candidates"))
    if candidates:
        return any(map(_is_candidate, candidates))
    counts = body.get("usageMetadata", body.get("usage_metadata"))
    if isinstance(counts, dict) and any(
        isinstance(name, str) and _camel(name).endswith("TokenCount") for name in counts
    ):
        return True
    return isinstance(at_path(body, "promptFeedback.blockReason"), str) or isinstance(
        at_path(body, "prompt_feedback.block_reason"), str
    )


def _is_candidate(candidate: Body) -> bool:
    return "finishReason" in candidate or "finish_reason" in candidate or isinstance(candidate.get("content"), dict)


def _read(body: Body) -> Fields:
    candidates = mappings(body.get("candidates"))
    finish_reason = at_path(candidates, "0.finishReason") or at_path(body, "promptFeedback.blockReason")
    response = one_message([_read_message(candidate) for candidate in candidates])
    history = body.get("automaticFunctionCallingHistory")
    if response is not None and history:
        response["automaticFunctionCallingHistory"] = history
    return compact(
        {
            "operation_type": "generate_content",
            "status": "success",
            "response_model": as_name(body.get("modelVersion")),
            "response": response,
            "finish_reason": as_name(finish_reason),
            **_read_usage(body.get("usageMetadata")),
            "extras": rest(body, _USED),
        }
    )


def _read_usage(usage: object) -> dict[str, int]:
    """Return the counts, inclusive: Gemini counts thoughts beside the answer, and tool results beside the prompt."""
    counts: dict[str, int | None] = {**read_counts(usage, _PATHS)}
    counts["input_tokens"] = total(counts.get("input_tokens"), counts.pop("tool_prompt_tokens", None))
    counts["output_tokens"] = total(counts.get("output_tokens"), counts.get("reasoning_tokens"))
    return {field: count for field, count in counts.items() if count is not None}


def _read_message(candidate: Body) -> Body:
    """Return the message of *candidate*; its thoughts stand apart, so that its content is what the user reads."""
    parts = mappings(at_path(candidate, "content.parts"))
    said = [part for part in parts if not part.get("thought")]
    is_text = bool(said) and all(part.keys() == {"text"} and isinstance(part["text"], str) for part in said)
    calls = [
        tool_call(call.get("id"), call.get("name"), call.get("args") or {})
        for part in said
        if isinstance(call := part.get("functionCall"), dict)
    ]
    return compact(
        {
            "role": "assistant",
            "content": "".join(part["text"] for part in said) if is_text else said or None,
            "tool_calls": calls or None,
            "thoughts": [part for part in parts if part.get("thought")] or None,
            **rest(candidate, {"content", "finishReason", "index"}),
        }
    )


def camel_case(value: Any) -> Any:
    """Return *value* with the keys of the JSON API; the application's own keys stay as they are."""
    if isinstance(value, list):
        return [camel_case(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {_camel(key): item if key in _OF_THE_CALLER else camel_case(item) for key, item in value.items()}


def _camel(name: str) -> str:
    if "_" not in name:
        return name
    head, *tail = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in tail) if head else name


class _GeminiStream:
    def __init__(self) -> None:
        self.has_content = False
        self._body: Body = {}
        self._usage: Body = {}
        self._candidates: dict[int, Body] = {}

    @property
    def is_complete(self) -> bool:
        return bool(self._candidates) and all("finishReason" in found for found in self._candidates.values())

    def add(self, chunk: Body) -> None:
        chunk = camel_case(chunk)
        self._body.update(rest(chunk, {"candidates", "usageMetadata"}))
        _merge_counts(self._usage, chunk.get("usageMetadata"))
        for candidate in mappings(chunk.get("candidates")):
            so_far = self._candidates.setdefault(as_index(candidate.get("index")), {"content": {"parts": []}})
            so_far.update(rest(candidate, {"content"}))
            for part in mappings(at_path(candidate, "content.parts")):
                self.has_content = self.has_content or any(bool(part.get(key)) for key in part if key != "thought")
                _append(so_far["content"]["parts"], part)

    def body(self) -> Body:
        usage = {"usageMetadata": self._usage} if self._usage else {}
        return {**self._body, **usage, "candidates": list(self._candidates.values())}


def _merge_counts(usage: Body, later: object) -> None:
    """
    Let *later* add to *usage* or correct it.

    A later total that its own counts make up says that the counts it leaves out are in it no longer.
    """
    said = read_counts(later, _PARTS_OF_TOTAL)
    whole = as_count(at_path(later, "totalTokenCount"))
    if whole is not None and whole == sum(said.values()) and whole >= (as_count(usage.get("totalTokenCount")) or 0):
        for name in _PARTS_OF_TOTAL.keys() - said.keys():
            usage.pop(name, None)
    merge_usage(usage, later)


def _append(parts: list[Body], part: Body) -> None:
    """Add a part; a text goes on where the last one ended, if nothing else stands between them."""
    last = parts[-1] if parts else {}
    text_only = {"text", "thought"}
    are_texts = isinstance(last.get("text"), str) and isinstance(part.get("text"), str)
    if are_texts and last.keys() <= text_only and last.get("thought") == part.get("thought"):
        parts[-1] = {**last, **part, "text": join_text(last["text"], part["text"])}
    elif part != {"text": ""}:
        parts.append(part)


GEMINI = Family(
    name="Gemini generateContent",
    recognises=_recognises,
    read=_read,
    recognises_chunk=_recognises,
    open_stream=_GeminiStream,
    normalise=camel_case,
)
