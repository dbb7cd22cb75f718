"""
LangChain's message of a model, and its chunks: the same for every provider behind it.
"""

from collections.abc import Mapping

from aicore_sqllog.responses.counts import Paths, as_name, at_path, read_counts
from aicore_sqllog.responses.family import Body, Family, Fields, compact, mappings, rest
from aicore_sqllog.responses.merge import join, merge_delta, merge_tool_calls
from aicore_sqllog.responses.tool_calls import read_json, tool_call

__all__ = ["LANGCHAIN"]

_PATHS: Paths = {
    "input_tokens": ("input_tokens",),
    "output_tokens": ("output_tokens",),
    "cache_read_tokens": ("input_token_details.cache_read",),
    "cache_write_tokens": ("input_token_details.cache_creation",),
    "reasoning_tokens": ("output_token_details.reasoning",),
}
_PROVIDERS: Mapping[str, str] = {
    "openai": "openai",
    "anthropic": "anthropic",
    "google_genai": "gcp.gemini",
    "google_vertexai": "gcp.vertex_ai",
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "mistralai": "mistral_ai",
    "groq": "groq",
    "deepseek": "deepseek",
    "ollama": "ollama",
    "xai": "x_ai",
    "cohere": "cohere",
}
_MODELS = ("model_name", "model", "model_id")
_REASONS = ("finish_reason", "stop_reason", "done_reason", "stopReason")
_OF_IT = frozenset(
    {"additional_kwargs", "response_metadata", "usage_metadata", "tool_calls", "tool_call_chunks", "invalid_tool_calls"}
)
_TYPES = frozenset({"ai", "AIMessageChunk"})
_USED = frozenset({"content", "type", "tool_calls", "tool_call_chunks", "usage_metadata", "additional_kwargs"})
_EMPTY: tuple[object, ...] = (None, [], {}, "")


def _recognises(body: Body) -> bool:
    return as_name(body.get("type")) in _TYPES and "content" in body and len(_OF_IT & body.keys()) > 1


def _read(body: Body) -> Fields:
    metadata = body.get("response_metadata")
    usage = body.get("usage_metadata") or at_path(metadata, "token_usage")
    return compact(
        {
            "operation_type": "chat",
            "status": "success",
            "provider": _PROVIDERS.get(as_name(at_path(metadata, "model_provider")) or ""),
            "response_model": _first(metadata, _MODELS),
            "response": _read_message(body),
            "finish_reason": _first(metadata, _REASONS),
            **read_counts(usage, _PATHS),
            "extras": {
                **{name: item for name, item in rest(body, _USED).items() if item not in _EMPTY},
                **({"usage": usage} if usage else {}),
            },
        }
    )


def _first(metadata: object, names: tuple[str, ...]) -> str | None:
    return next((found for name in names if (found := as_name(at_path(metadata, name)))), None)


def _read_message(body: Body) -> Body:
    calls = [tool_call(call.get("id"), call.get("name"), call.get("args")) for call in mappings(body.get("tool_calls"))]
    more = body.get("additional_kwargs")
    said = rest(more, {"tool_calls", "function_call"}) if isinstance(more, dict) else {}
    return compact({**said, "role": "assistant", "content": body.get("content"), "tool_calls": calls or None})


class _LangChainStream:
    """LangChain's chunks are made to be added: each has the counts that are new in it."""

    def __init__(self) -> None:
        self.has_content = False
        self._body: Body = {"type": "ai", "content": "", "response_metadata": {}}
        self._usage: Body = {}
        self._calls: Body = {}

    @property
    def is_complete(self) -> bool:
        metadata = self._body["response_metadata"]
        return self._body.get("chunk_position") == "last" or _first(metadata, _REASONS) is not None

    def add(self, chunk: Body) -> None:
        pieces = [{**piece, "args": piece.get("args") or ""} for piece in mappings(chunk.get("tool_call_chunks"))]
        self.has_content = self.has_content or bool(chunk.get("content") or pieces)
        self._body["content"] = join(self._body["content"], chunk.get("content") or "")
        merge_tool_calls(self._calls, pieces)
        _add_counts(self._usage, chunk.get("usage_metadata"))
        if isinstance(chunk.get("response_metadata"), dict):
            self._body["response_metadata"].update(chunk["response_metadata"])
        if isinstance(chunk.get("additional_kwargs"), dict):
            merge_delta(self._body.setdefault("additional_kwargs", {}), chunk["additional_kwargs"])
        others = {"content", "type", "tool_calls", "tool_call_chunks", "invalid_tool_calls", "usage_metadata"}
        for name, item in rest(chunk, others | {"response_metadata", "additional_kwargs"}).items():
            self._body[name] = item

    def body(self) -> Body:
        calls = [{**call, "args": read_json(call.get("args"))} for call in mappings(self._calls.get("tool_calls"))]
        return {**self._body, "usage_metadata": self._usage, "tool_calls": calls}


def _add_counts(usage: Body, more: object) -> None:
    if not isinstance(more, dict):
        return
    for name, count in more.items():
        if isinstance(count, dict):
            held = usage.setdefault(name, {})
            _add_counts(held if isinstance(held, dict) else {}, count)
        elif isinstance(count, int) and isinstance(usage.get(name, 0), int):
            usage[name] = usage.get(name, 0) + count


LANGCHAIN = Family(
    name="LangChain messages",
    recognises=_recognises,
    read=_read,
    recognises_chunk=_recognises,
    open_stream=_LangChainStream,
)
