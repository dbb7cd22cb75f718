"""Answers by hand, whole and as streams, and objects that mean harm."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from aicore_sqllog.responses.gather import StreamReader
from aicore_sqllog.responses.read import read_response

COUNTS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")

CHAT: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "some-model",
    "system_fingerprint": "fp_1",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi", "refusal": None}}
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
}
RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "model": "some-model",
    "output": [
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Greet."}]},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Hi", "annotations": []}],
        },
        {"type": "function_call", "call_id": "call_1", "name": "wave", "arguments": '{"hands": 2}'},
    ],
    "usage": {"input_tokens": 9, "output_tokens": 7, "output_tokens_details": {"reasoning_tokens": 6}},
}
MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "some-model",
    "stop_reason": "tool_use",
    "content": [
        {"type": "text", "text": "Hi", "citations": None},
        {"type": "tool_use", "id": "toolu_1", "name": "wave", "input": {"hands": 2}},
    ],
    "usage": {
        "input_tokens": 3,
        "cache_read_input_tokens": 40,
        "cache_creation_input_tokens": 500,
        "output_tokens": 7,
        "service_tier": "standard",
    },
}
CONVERSE: dict[str, Any] = {
    "output": {
        "message": {
            "role": "assistant",
            "content": [{"text": "Hi"}, {"toolUse": {"toolUseId": "t", "name": "wave", "input": {"hands": 2}}}],
        }
    },
    "stopReason": "tool_use",
    "usage": {"inputTokens": 3, "outputTokens": 7, "cacheReadInputTokens": 40, "cacheWriteInputTokens": 500},
    "metrics": {"latencyMs": 300},
}
GEMINI: dict[str, Any] = {
    "candidates": [
        {
            "content": {
                "role": "model",
                "parts": [
                    {"text": "Greet.", "thought": True},
                    {"text": "Hi"},
                    {"functionCall": {"name": "wave", "args": {"both_hands": True}}, "thoughtSignature": "c2ln"},
                ],
            },
            "finishReason": "STOP",
        }
    ],
    "usageMetadata": {
        "promptTokenCount": 9,
        "toolUsePromptTokenCount": 100,
        "cachedContentTokenCount": 4,
        "candidatesTokenCount": 1,
        "thoughtsTokenCount": 6,
    },
    "modelVersion": "some-model",
    "responseId": "r1",
}


def counts(fields: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(fields.get(name) for name in COUNTS)


def read(response: object) -> dict[str, Any]:
    return read_response(response)


def stream(chunks: list[Any]) -> dict[str, Any]:
    reader = StreamReader()
    for chunk in chunks:
        reader.add(chunk)
    return reader.result()


def as_objects(value: Any) -> Any:
    """Return *value* with attributes in the place of keys."""
    if isinstance(value, dict):
        return SimpleNamespace(**{key: as_objects(item) for key, item in value.items()})
    return [as_objects(item) for item in value] if isinstance(value, list) else value


def chat_chunk(delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {"id": "c1", "object": "chat.completion.chunk", "model": "m", "choices": [choice], **more}


def call_chunk(index: int | None, call_id: str | None, name: str | None, arguments: str) -> dict[str, Any]:
    call = {"index": index, "id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
    return chat_chunk({"tool_calls": [{key: value for key, value in call.items() if value is not None}]})


CHAT_STREAM: list[dict[str, Any]] = [
    chat_chunk({"role": "assistant", "content": ""}),
    chat_chunk({"content": "He"}),
    chat_chunk({"content": "llo", "role": "assistant"}, obfuscation="xyz"),
    call_chunk(0, "call_1", "wave", ""),
    call_chunk(0, None, None, '{"hands"'),
    call_chunk(1, "call_2", "bow", "{}"),
    call_chunk(0, None, None, ": 2}"),
    chat_chunk({}, "tool_calls"),
    {"object": "chat.completion.chunk", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 5}},
]
_FIRST_USAGE = {"input_tokens": 3, "cache_read_input_tokens": 40, "output_tokens": 1}
_WAVE_BLOCK = {"type": "tool_use", "id": "t", "name": "wave", "input": {}}
_WAVE_ITEM = {"type": "function_call", "call_id": "c", "name": "wave", "arguments": ""}
MESSAGE_STREAM: list[dict[str, Any]] = [
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None, "usage": _FIRST_USAGE}},
    {"type": "ping"},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Gre"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "et."}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "c2ln"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hi"}},
    {"type": "content_block_start", "index": 2, "content_block": _WAVE_BLOCK},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"hands"'}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": ": 2}"}},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 7}},
    {"type": "message_stop"},
]  # fmt: skip
RESPONSE_STREAM: list[dict[str, Any]] = [
    {"type": "response.created", "response": {**RESPONSE, "status": "in_progress", "output": [], "usage": None}},
    {"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "summary": []}},
    {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "Gre"},
    {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "et."},
    {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "H"},
    {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "i"},
    {"type": "response.output_item.added", "output_index": 2, "item": _WAVE_ITEM},
    {"type": "response.function_call_arguments.delta", "output_index": 2, "delta": '{"hands": 2}'},
    {"type": "response.completed", "response": RESPONSE},
]  # fmt: skip
GEMINI_STREAM: list[dict[str, Any]] = [
    {"candidates": [{"content": {"parts": [{"text": "Gre", "thought": True}]}}], "modelVersion": "some-model"},
    {
        "candidates": [{"content": {"parts": [{"text": "et.", "thought": True}]}}],
        "usageMetadata": {"promptTokenCount": 9},
    },
    {"candidates": [{"content": {"parts": [{"text": "H"}]}}]},
    {"candidates": [{"content": {"parts": [{"text": "i"}, GEMINI["candidates"][0]["content"]["parts"][2]]}}]},
    {"candidates": [{"finishReason": "STOP"}], "usageMetadata": GEMINI["usageMetadata"]},
]
CONVERSE_STREAM: list[dict[str, Any]] = [
    {"messageStart": {"role": "assistant"}},
    {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "H"}}},
    {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "i"}}},
    {"contentBlockStop": {"contentBlockIndex": 0}},
    {"contentBlockStart": {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "t", "name": "wave"}}}},
    {"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"toolUse": {"input": '{"hands"'}}}},
    {"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"toolUse": {"input": ": 2}"}}}},
    {"messageStop": {"stopReason": "tool_use"}},
    {"metadata": {"usage": CONVERSE["usage"], "metrics": CONVERSE["metrics"]}},
]
STREAMS = [CHAT_STREAM, MESSAGE_STREAM, RESPONSE_STREAM, GEMINI_STREAM, CONVERSE_STREAM]
IDS = ["chat", "messages", "responses", "gemini", "converse"]


class Hostile:
    """Every attribute raises."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


class HostileProperty:
    """Has an answer, and a property that raises."""

    __slots__ = ("choices", "model")

    def __init__(self) -> None:
        self.model = "m"
        self.choices = [SimpleNamespace(message=SimpleNamespace(content="Hi", tool_calls=Hostile()))]

    @property
    def usage(self) -> Any:
        raise RuntimeError("no usage for you")

    @usage.setter
    def usage(self, value: Any) -> None: ...


class HostileText(str):
    """A text that cannot be written."""

    def __str__(self) -> str:
        raise RuntimeError("unwritable")


class HostileMapping(dict[str, Any]):
    """A mapping that cannot be read."""

    def items(self) -> Any:
        raise RuntimeError("unreadable")


def endless() -> dict[str, Any]:
    body: dict[str, Any] = dict(CHAT)
    body["self"] = body
    return body


ODD_VALUES: list[Any] = [
    None,
    [],
    {},
    "text",
    7,
    -1.5,
    True,
    10**30,
    [None],
    ["text"],
    [[]],
    [{}],
    [{"message": "text"}],
    {"content": 7},
]


def with_odd_values(body: Any) -> Iterator[Any]:
    """Yield *body* with an odd value in the place of each of its values, one at a time, at every depth."""
    if isinstance(body, dict | list):
        for key in list(body) if isinstance(body, dict) else range(len(body)):
            for item in (*ODD_VALUES, *with_odd_values(body[key])):
                changed = body.copy()
                changed[key] = item
                yield changed
