"""
Anthropic's messages, from Anthropic itself, Amazon Bedrock or Google's Vertex AI.
"""

from aicore_sqllog.responses.counts import Paths, as_index, as_name, at_path, read_counts, total
from aicore_sqllog.responses.family import Body, Family, Fields, compact, mappings, rest
from aicore_sqllog.responses.merge import extend_text, join, merge_delta, merge_usage
from aicore_sqllog.responses.tool_calls import read_json, tool_call

__all__ = ["ANTHROPIC_MESSAGES"]

_PATHS: Paths = {
    "input_tokens": ("input_tokens",),
    "output_tokens": ("output_tokens",),
    "cache_read_tokens": ("cache_read_input_tokens",),
    "cache_write_tokens": ("cache_creation_input_tokens",),
    "reasoning_tokens": ("output_tokens_details.thinking_tokens",),
}
_EVENTS = frozenset(
    {
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "ping",
    }
)


_REPEATED = frozenset({"text", "input_json", "citation", "thinking", "signature"})
_MARKS = frozenset({"id", "model", "stop_reason", "usage"})


def _recognises(body: Body) -> bool:
    return body.get("type") == "message" and isinstance(body.get("content"), list) and len(_MARKS & body.keys()) > 1


def _recognises_chunk(chunk: Body) -> bool:
    return isinstance(chunk.get("type"), str) and chunk["type"] in _EVENTS


def _repeats(event: Body) -> bool:
    """Whether *event* is one that the anthropic SDK's stream helper makes of a delta."""
    return as_name(event.get("type")) in _REPEATED


def _read(body: Body) -> Fields:
    return compact(
        {
            "operation_type": "chat",
            "status": "success",
            "response_model": as_name(body.get("model")),
            "response": _read_message(body),
            "finish_reason": as_name(body.get("stop_reason")),
            **_read_usage(body.get("usage")),
            "extras": rest(body, {"type", "role", "content", "model", "stop_reason"}),
        }
    )


def _read_usage(usage: object) -> dict[str, int]:
    """
    Return the counts, inclusive: Anthropic counts what it reads from and writes to its cache beside the input.

    Where it has gone over the conversation several times, each time stands in ``iterations``; what it
    took to compact the conversation stands only there. One that names a model is another model's: its
    tokens have another price, and stay in ``extras``.
    """
    counts = read_counts(usage, _PATHS)
    iterations = mappings(at_path(usage, "iterations"))
    inner = [read_counts(iteration, _PATHS) for iteration in iterations if not iteration.get("model")]
    for field in _PATHS:
        summed = total(*(iteration.get(field) for iteration in inner))
        if summed is not None and summed > counts.get(field, -1):
            counts[field] = summed
    if "input_tokens" in counts:
        inclusive = total(counts["input_tokens"], counts.get("cache_read_tokens"), counts.get("cache_write_tokens"))
        counts["input_tokens"] = inclusive or 0
    return counts


def _read_message(body: Body) -> Body:
    blocks = [rest(block, ()) for block in mappings(body.get("content"))]
    calls = [
        tool_call(block.get("id"), block.get("name"), block.get("input"))
        for block in blocks
        if block.get("type") == "tool_use"
    ]
    is_text = len(blocks) == 1 and blocks[0].keys() == {"type", "text"}
    return compact(
        {
            "role": body.get("role") or "assistant",
            "content": blocks[0]["text"] if is_text else blocks,
            "tool_calls": calls or None,
        }
    )


class _MessageStream:
    def __init__(self) -> None:
        self.has_content = False
        self.is_complete = False
        self._message: Body = {}
        self._usage: Body = {}
        self._blocks: dict[int, Body] = {}

    def add(self, chunk: Body) -> None:
        event = chunk["type"]
        if event == "message_start" and isinstance(chunk.get("message"), dict):
            self._message = chunk["message"]
            merge_usage(self._usage, self._message.get("usage"))
        elif event == "content_block_start" and isinstance(chunk.get("content_block"), dict):
            block = chunk["content_block"]
            self._blocks[as_index(chunk.get("index"))] = block
            self.has_content = self.has_content or block.get("type") != "text" or bool(block.get("text"))
        elif event == "content_block_delta" and isinstance(chunk.get("delta"), dict):
            self.has_content = True
            _add_to_block(self._blocks.setdefault(as_index(chunk.get("index")), {}), chunk["delta"])
        elif event == "message_delta":
            for delta in mappings([chunk.get("delta")]):
                self._message.update(rest(delta, ()))
            self._message.update(rest(chunk, {"type", "delta", "usage"}))
            merge_usage(self._usage, chunk.get("usage"))
        elif event == "message_stop":
            self.is_complete = True

    def body(self) -> Body:
        content = [_finished(self._blocks[index]) for index in sorted(self._blocks)]
        return {**self._message, "content": content, "usage": self._usage}


def _add_to_block(block: Body, delta: Body) -> None:
    kind = delta.get("type")
    if kind == "input_json_delta":
        extend_text(block, "partial_json", delta.get("partial_json"))
    elif kind == "citations_delta":
        block["citations"] = join(block.get("citations") or [], [delta.get("citation")])
    else:
        merge_delta(block, rest(delta, {"type"}))
        block.setdefault("type", str(kind).removesuffix("_delta"))


def _finished(block: Body) -> Body:
    said = rest(block, {"partial_json"})
    return {**said, "input": read_json(block["partial_json"])} if block.get("partial_json") else said


ANTHROPIC_MESSAGES = Family(
    name="Anthropic messages",
    recognises=_recognises,
    read=_read,
    recognises_chunk=_recognises_chunk,
    open_stream=_MessageStream,
    repeats=_repeats,
)
