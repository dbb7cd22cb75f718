"""
pydantic-ai's response of a model, and the result of an agent's run: the same for every provider behind it.
"""

from collections.abc import Mapping

from aicore_sqllog.responses.counts import Paths, as_name, read_counts
from aicore_sqllog.responses.family import Body, Family, Fields, compact, mappings, rest
from aicore_sqllog.responses.tool_calls import tool_call

__all__ = ["PYDANTIC_AI"]

_PATHS: Paths = {
    "input_tokens": ("input_tokens",),
    "output_tokens": ("output_tokens",),
    "cache_read_tokens": ("cache_read_tokens",),
    "cache_write_tokens": ("cache_write_tokens",),
    "reasoning_tokens": ("output_reasoning_tokens", "details.reasoning_tokens"),
}
_PROVIDERS: Mapping[str, str] = {
    "google-gla": "gcp.gemini",
    "google": "gcp.gemini",
    "google-vertex": "gcp.vertex_ai",
    "google-cloud": "gcp.vertex_ai",
    "bedrock": "aws.bedrock",
    "azure": "azure.ai.openai",
    "mistral": "mistral_ai",
    "xai": "x_ai",
    "grok": "x_ai",
}
_CALLS = frozenset({"tool-call", "builtin-tool-call", "native-tool-call"})
_USED = frozenset({"parts", "usage", "model_name", "kind", "timestamp", "finish_reason", "provider_name"})
_EMPTY: tuple[object, ...] = (None, [], {}, "")


def _recognises(body: Body) -> bool:
    return body.get("kind") == "response" and isinstance(body.get("parts"), list) and "model_name" in body


def _read(body: Body) -> Fields:
    provider = as_name(body.get("provider_name"))
    return compact(
        {
            "operation_type": "chat",
            "provider": _PROVIDERS.get(provider or "", provider),
            "status": "success",
            "response_model": as_name(body.get("model_name")),
            "response": _read_message(mappings(body.get("parts"))),
            "finish_reason": as_name(body.get("finish_reason")),
            **_read_usage(body.get("usage")),
            "extras": {name: item for name, item in rest(body, _USED).items() if item not in _EMPTY},
        }
    )


def _read_message(parts: list[Body]) -> Body:
    calls = [
        tool_call(part.get("tool_call_id"), part.get("tool_name"), part.get("args"))
        for part in parts
        if part.get("part_kind") in _CALLS
    ]
    said = [part for part in parts if part.get("part_kind") not in _CALLS]
    is_text = len(said) == 1 and said[0].get("part_kind") == "text"
    content = said[0].get("content") if is_text else [_as_part(part) for part in said]
    return compact({"role": "assistant", "content": content or None, "tool_calls": calls or None})


def _as_part(part: Body) -> Body:
    held = {name: item for name, item in part.items() if item not in _EMPTY and name != "part_kind"}
    if part.get("part_kind") == "text":
        held["text"] = held.pop("content", "")
    return {"type": part.get("part_kind"), **held}


def _read_usage(usage: object) -> dict[str, int]:
    """Return the counts that are known: pydantic-ai writes 0 where a provider told nothing."""
    counts = read_counts(usage, _PATHS)
    known = {name: count for name, count in counts.items() if count}
    if known:  # beside a count that is known, no tokens read or written are a count, too
        known |= {name: counts[name] for name in ("input_tokens", "output_tokens") if name in counts}
    return known


PYDANTIC_AI = Family(name="pydantic-ai", recognises=_recognises, read=_read)
