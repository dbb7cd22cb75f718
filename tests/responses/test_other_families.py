"""Ollama, Cohere and LangChain: whole, streamed, in mid-stream, odd; and what only looks like an answer."""

from typing import Any

import pytest

from tests.support.shapes import CHAT, MESSAGE, as_objects, counts, read, stream, with_odd_values

OLLAMA: list[dict[str, Any]] = [
    {"model": "llama3.2", "created_at": "2026-01-01T00:00:00Z", "message": {"role": "assistant", "content": text}}
    | {"done": False}
    for text in ("Ro", "me")
] + [
    {
        "model": "llama3.2",
        "message": {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}],
        },
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 5,
        "eval_count": 2,
    }
]
COHERE: list[dict[str, Any]] = [
    {"type": "message-start", "id": "c-1", "delta": {"message": {"role": "assistant", "content": []}}},
    {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "I ask."}}},
    {"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}},
    {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "Ro"}}}},
    {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "me"}}}},
    {"type": "content-end", "index": 0},
    {
        "type": "tool-call-start",
        "index": 0,
        "delta": {
            "message": {"tool_calls": {"id": "t", "type": "function", "function": {"name": "f", "arguments": ""}}}
        },
    },
    {
        "type": "tool-call-delta",
        "index": 0,
        "delta": {"message": {"tool_calls": {"function": {"arguments": '{"a":1}'}}}},
    },
    {"type": "tool-call-end", "index": 0},
    {
        "type": "message-end",
        "id": "c-1",
        "delta": {
            "finish_reason": "COMPLETE",
            "usage": {
                "billed_units": {"input_tokens": 1, "output_tokens": 2},
                "tokens": {"input_tokens": 5, "output_tokens": 2},
            },
        },
    },
]
_USAGE = {"input_tokens": 5, "output_tokens": 1, "total_tokens": 6}
LANGCHAIN: list[dict[str, Any]] = [
    {"content": "Ro", "type": "AIMessageChunk", "tool_call_chunks": [], "response_metadata": {}, "tool_calls": []},
    {"content": "me", "type": "AIMessageChunk", "response_metadata": {}, "usage_metadata": _USAGE},
    {
        "content": "",
        "type": "AIMessageChunk",
        "tool_call_chunks": [{"index": 0, "id": "t", "name": "f", "args": '{"a"'}],
        "response_metadata": {"model_name": "m", "model_provider": "openai"},
    },
    {
        "content": "",
        "type": "AIMessageChunk",
        "tool_call_chunks": [{"index": 0, "id": None, "name": None, "args": ":1}"}],
        "response_metadata": {"finish_reason": "tool_calls"},
        "usage_metadata": {"input_tokens": 0, "output_tokens": 1, "input_token_details": {"cache_read": 4}},
    },
]
STREAMS = [OLLAMA, COHERE, LANGCHAIN]
IDS = ["ollama", "cohere", "langchain"]


@pytest.mark.parametrize(
    ("chunks", "finish_reason", "provider"),
    [(OLLAMA, "stop", None), (COHERE, "COMPLETE", "cohere"), (LANGCHAIN, "tool_calls", "openai")],
    ids=IDS,
)
def test_a_stream_is_put_together(chunks: list[Any], finish_reason: str, provider: str | None) -> None:
    for fields in (stream(chunks), stream([as_objects(chunk) for chunk in chunks]), read(chunks)):
        assert (fields["response"]["role"], fields["response"]["content"]) == ("assistant", "Rome")
        (call,) = fields["response"]["tool_calls"]
        assert (call["function"]["name"], call["function"]["arguments"]) == ("f", '{"a":1}')
        assert (counts(fields)[:2], fields["finish_reason"], fields["status"]) == ((5, 2), finish_reason, "success")
        assert fields.get("provider") == provider
        assert "chunks" not in fields["extras"]


@pytest.mark.parametrize("chunks", STREAMS, ids=IDS)
def test_what_has_come_of_a_stream_is_kept_and_is_no_success(chunks: list[Any]) -> None:
    for upto in range(1, len(chunks)):
        fields = stream(chunks[:upto])
        assert "fault" not in str(fields)
        assert "status" not in fields
    assert "Ro" in str(stream(chunks[:4]))


@pytest.mark.parametrize("chunks", STREAMS, ids=IDS)
def test_no_part_of_a_chunk_need_be_what_it_should(chunks: list[Any]) -> None:
    assert [changed for changed in with_odd_values(chunks) if "fault" in str(stream(changed).get("extras", {}))] == []


WHOLE: dict[str, dict[str, Any]] = {
    "ollama": {
        "model": "m",
        "done": True,
        "done_reason": "stop",
        "response": "Rome",
        "prompt_eval_count": 5,
        "eval_count": 2,
    },
    "cohere": {
        "id": "c",
        "finish_reason": "COMPLETE",
        "message": {"role": "assistant", "content": [{"type": "text", "text": "Rome"}]},
        "usage": {"tokens": {"input_tokens": 5, "output_tokens": 2}},
    },
    "langchain": {
        "content": "Rome",
        "type": "ai",
        "additional_kwargs": {},
        "response_metadata": {"model_name": "m", "finish_reason": "stop"},
        "usage_metadata": {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7},
    },
}


@pytest.mark.parametrize("body", WHOLE.values(), ids=WHOLE.keys())
def test_a_whole_answer_is_read(body: dict[str, Any]) -> None:
    fields = read(body)
    assert fields["response"]["content"] == "Rome"
    assert (counts(fields)[:2], fields["status"]) == ((5, 2), "success")
    assert [changed for changed in with_odd_values(body) if "fault" in str(read(changed).get("extras", {}))] == []


def test_cohere_s_failure_is_an_error() -> None:
    assert read({**WHOLE["cohere"], "finish_reason": "ERROR"})["status"] == "error"


# What is nobody's answer


@pytest.mark.parametrize(
    "mine",
    [
        {"candidates": [{"name": "Ann", "score": 5}], "verdict": "hire Ann"},
        {"usage_metadata": {"rooms": 3}, "note": "x"},
        {"usageMetadata": {"viewCount": 3}, "note": "x"},
        {"choices": [{"text": "Rome", "is_right": True}, {"text": "Oslo"}], "question": "Capital?"},
        {"choices": [{"message": {"subject": "Hi"}}], "folder": "in"},
        {"id": "job-7", "status": "done", "output": ["a.png"]},
        {"id": "job-7", "status": "completed", "output": ["a.png"]},
        {"data": [{"embedding": [0.5] * 40}], "note": "x"},
        {"type": "message", "content": ["a", "b"], "to": "Ann"},
        {"error": "it is spelled with two l", "correction": "spelling", "confidence": 0.5},
        {"content": "A long article", "title": "News", "tags": ["a"]},
        {"model": "Tesla", "colour": "red"},
        {"metadata": {"a": 1}},
        {"object": "response", "subject": "x"},
    ],
)
def test_an_application_s_own_model_is_kept_whole(mine: dict[str, Any]) -> None:
    expected = {"response": {"role": "assistant", "content": mine}}

    assert read(mine) == expected
    assert read(as_objects(mine)) == expected


# Usage: what comes later adds or corrects


def test_zero_or_nothing_takes_no_count_back() -> None:
    late: list[dict[str, Any]] = [
        {"input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 9},
        {"output_tokens": 9},
        {},
    ]
    for usage in late:
        fields = stream(
            [
                {"type": "message_start", "message": {**MESSAGE, "content": []}},
                {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage},
                {"type": "message_stop"},
            ]
        )
        assert counts(fields) == (543, usage.get("output_tokens", 7), 40, 500, None)
    chunk = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "x"}}]}
    usage = {"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 4}}
    trailing = {"prompt_tokens": 0, "completion_tokens": 5, "prompt_tokens_details": None}
    assert counts(stream([{**chunk, "usage": usage}, {**chunk, "usage": trailing}]))[:3] == (9, 5, 4)


@pytest.mark.parametrize(
    ("trailing", "expected"),
    [
        ({"promptTokenCount": 20, "candidatesTokenCount": 198, "totalTokenCount": 623}, (20, 603, 8, None, 405)),
        ({"promptTokenCount": 20}, (20, 405, 8, None, 405)),
        ({"promptTokenCount": 20, "totalTokenCount": 20}, (20, 405, 8, None, 405)),
        ({"promptTokenCount": 87, "thoughtsTokenCount": 413, "totalTokenCount": 500}, (87, 413, 8, None, 413)),
    ],
    ids=["the total needs the earlier", "partial", "a smaller total is partial", "a total of its own counts"],
)
def test_gemini_s_counts_complete_each_other(trailing: dict[str, int], expected: tuple[Any, ...]) -> None:
    first = {"promptTokenCount": 20, "thoughtsTokenCount": 405, "cachedContentTokenCount": 8, "totalTokenCount": 425}
    candidate = {"content": {"parts": [{"text": "x"}]}, "index": 0}

    assert (
        counts(stream([{"candidates": [candidate], "usageMetadata": usage} for usage in (first, trailing)])) == expected
    )


def test_the_tokens_of_a_compaction_count_and_another_model_s_do_not() -> None:
    inner = {"input_tokens": 180, "output_tokens": 35, "cache_read_input_tokens": 7, "cache_creation_input_tokens": 0}
    last = {"input_tokens": 23, "output_tokens": 10, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
    usage = {**last, "iterations": [{"type": "compaction", **inner}, {"type": "message", **last}]}
    assert counts(read({**MESSAGE, "usage": usage}))[:3] == (210, 45, 7)
    advised = {**last, "iterations": [{"type": "message", **last}, {"type": "advisor_message", "model": "x", **inner}]}
    assert counts(read({**MESSAGE, "usage": advised}))[:3] == (23, 10, 0)


# Cost


class LiteLlmAnswer:
    def __init__(self) -> None:
        self.__dict__.update(CHAT)
        self._hidden_params = {"response_cost": 0.25}


@pytest.mark.parametrize(
    ("answer", "cost"),
    [
        ({**CHAT, "usage": {**CHAT["usage"], "cost": 0.25}}, 0.25),
        ({**CHAT, "usage": {**CHAT["usage"], "cost": 0}}, 0.0),
        ({**CHAT, "usage": {**CHAT["usage"], "cost": {"total_cost": 0.25, "input_tokens_cost": 0.1}}}, 0.25),
        ({**CHAT, "usage": {**CHAT["usage"], "cost_in_usd_ticks": 37_756_000}}, 0.0037756),
        ({**CHAT, "usage": {**CHAT["usage"], "cost": "0.25"}}, 0.25),
        (LiteLlmAnswer(), 0.25),
        ({**CHAT, "usage": {**CHAT["usage"], "cost": "much"}}, None),
        ({**CHAT, "usage": {**CHAT["usage"], "cost": True}}, None),
        ({**CHAT, "usage": {**CHAT["usage"], "cost": float("nan")}}, None),
        (CHAT, None),
    ],
)
def test_a_reported_cost_is_the_cost(answer: Any, cost: float | None) -> None:
    assert read(answer).get("cost") == cost
