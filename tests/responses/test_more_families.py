"""Answers of Bedrock's models, of Cohere's version 1, rankings, embeddings and frameworks: whole, cut and odd."""

import asyncio
import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.messages import ModelResponse, TextPart, ThinkingPart, ToolCallPart
from pydantic_ai.models.test import TestModel
from pydantic_ai.usage import RequestUsage

from tests.support.shapes import CHAT, counts, read, stream, with_odd_values

METRICS = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 5, "outputTokenCount": 2}}
LLAMA = [
    {"generation": "Ro", "prompt_token_count": 5, "generation_token_count": 1, "stop_reason": None},
    {"generation": "me", "prompt_token_count": None, "generation_token_count": 2, "stop_reason": "stop", **METRICS},
]
TITAN = [
    {"outputText": "Ro", "index": 0, "totalOutputTextTokenCount": None, "completionReason": None},
    {"outputText": "me", "index": 0, "totalOutputTextTokenCount": 2, "completionReason": "FINISH", **METRICS},
]
COHERE_V1: list[dict[str, Any]] = [
    {"is_finished": False, "event_type": "stream-start", "generation_id": "g"},
    {"is_finished": False, "event_type": "text-generation", "text": "Ro"},
    {"is_finished": False, "event_type": "text-generation", "text": "me"},
    {
        "is_finished": True,
        "event_type": "stream-end",
        "finish_reason": "COMPLETE",
        "response": {
            "response_id": "r",
            "generation_id": "g",
            "text": "Rome",
            "chat_history": [],
            "tool_calls": [{"name": "f", "parameters": {"a": 1}}],
            "finish_reason": "COMPLETE",
            "meta": {"billed_units": {"input_tokens": 1, "output_tokens": 2}, "tokens": {"input_tokens": 5}},
        },
    },
]
INTERACTION: list[dict[str, Any]] = [
    {"event_type": "interaction.created", "interaction": {"object": "interaction", "status": "in_progress", "id": "i"}},
    {"event_type": "step.start", "index": 0, "step": {"type": "model_output"}},
    {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "Ro"}},
    {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "me"}},
    {"event_type": "step.start", "index": 1, "step": {"type": "function_call", "id": "c", "name": "f"}},
    {"event_type": "step.delta", "index": 1, "delta": {"type": "arguments", "arguments": '{"a":'}},
    {"event_type": "step.delta", "index": 1, "delta": {"type": "arguments", "arguments": "1}"}},
    {
        "event_type": "interaction.completed",
        "interaction": {
            "object": "interaction",
            "status": "completed",
            "model": "gemini",
            "usage": {"total_input_tokens": 4, "total_tool_use_tokens": 1, "total_output_tokens": 2},
        },
    },
]
STREAMS = {
    "llama": (LLAMA, "stop", "aws.bedrock"),
    "titan": (TITAN, "FINISH", "aws.bedrock"),
    "cohere": (COHERE_V1, "COMPLETE", "cohere"),
    "interaction": (INTERACTION, "completed", "gcp.gemini"),
}


@pytest.mark.parametrize(("chunks", "finish_reason", "provider"), STREAMS.values(), ids=STREAMS)
def test_a_stream_is_put_together(chunks: list[Any], finish_reason: str, provider: str) -> None:
    fields = stream(chunks)

    assert (fields["response"]["role"], fields["response"]["content"]) == ("assistant", "Rome")
    assert (counts(fields)[:2], fields["finish_reason"], fields["status"]) == ((5, 2), finish_reason, "success")
    assert fields["provider"] == provider
    assert "chunks" not in fields.get("extras", {})
    for call in fields["response"].get("tool_calls", []):
        assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == ("f", {"a": 1})


@pytest.mark.parametrize("chunks", [case[0] for case in STREAMS.values()], ids=STREAMS)
def test_what_has_come_of_a_stream_is_kept_and_is_no_success(chunks: list[Any]) -> None:
    for upto in range(1, len(chunks)):
        assert "status" not in stream(chunks[:upto])
        assert "fault" not in str(stream(chunks[:upto]))
    assert "Ro" in str(stream(chunks[:3]))
    assert [changed for changed in with_odd_values(chunks) if "fault" in str(stream(changed).get("extras", {}))] == []


@pytest.mark.parametrize("chunks", [LLAMA, TITAN], ids=["llama", "titan"])
def test_boto3_s_events_hold_the_model_s_chunks_as_bytes(chunks: list[Any]) -> None:
    events = [{"chunk": {"bytes": json.dumps(chunk).encode()}} for chunk in chunks]

    assert stream(events) == stream(chunks)
    assert "not json" in str(stream([{"chunk": {"bytes": b"not json"}}]))


WHOLE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "rank": (
        {"model": "r", "results": [{"index": 1, "relevance_score": 0.5}], "usage": {"total_tokens": 5}},
        {"operation_type": "rerank", "input_tokens": 5, "response_model": "r"},
    ),
    "titan's vector": (
        {"embedding": [0.5] * 8, "embeddingsByType": {"float": [0.5] * 8}, "inputTextTokenCount": 5},
        {"operation_type": "embeddings", "input_tokens": 5},
    ),
    "cohere's vectors": (
        {
            "id": "x",
            "response_type": "embeddings_by_type",
            "texts": ["secret"],
            "embeddings": {"int8": [[1, 2]]},
            "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 5}},
        },
        {"operation_type": "embeddings", "input_tokens": 5, "provider": "cohere"},
    ),
}


@pytest.mark.parametrize(("body", "expected"), WHOLE.values(), ids=WHOLE)
def test_a_whole_answer_is_read(body: dict[str, Any], expected: dict[str, Any]) -> None:
    fields = read(body)

    assert {name: fields[name] for name in expected} == expected
    assert [changed for changed in with_odd_values(body) if "fault" in str(read(changed).get("extras", {}))] == []
    assert "[0.5, 0.5" not in str(fields)
    assert "secret" not in str(fields), "what was asked is no part of the answer"


@pytest.mark.parametrize(
    "mine",
    [
        {"generation": "second", "name": "Ann"},
        {"results": [{"index": 0, "score": 0.5}], "meta": {}},
        {"embeddings": "see file", "texts": ["a"]},
        {"embedding": {"file": "a.npy"}, "note": "x"},
        {"text": "Hi", "chat_history": []},
        {"kind": "response", "parts": ["wheel", "axle"]},
        {"object": "interaction", "actor": "Ann"},
    ],
)
def test_an_application_s_own_model_is_kept_whole(mine: dict[str, Any]) -> None:
    assert read(mine) == {"response": {"role": "assistant", "content": mine}}


def test_a_response_of_pydantic_ai_is_read() -> None:
    response = ModelResponse(
        parts=[ThinkingPart("hm"), TextPart("Rome"), ToolCallPart("f", {"a": 1}, "c-1")],
        usage=RequestUsage(input_tokens=9, output_tokens=0, cache_read_tokens=4),
        model_name="gemini-2.5-flash",
        provider_name="google-gla",
        finish_reason="tool_call",
    )
    fields = read(response)

    assert counts(fields) == (9, 0, 4, None, None), "pydantic-ai's 0 means that nothing was told of the cache"
    assert (fields["provider"], fields["response_model"]) == ("gcp.gemini", "gemini-2.5-flash")
    assert fields["response"]["content"] == [{"type": "thinking", "content": "hm"}, {"type": "text", "text": "Rome"}]
    assert fields["response"]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a":1}'}
    assert "input_tokens" not in read(ModelResponse(parts=[TextPart("Rome")]))


def test_the_result_of_an_agent_s_run_has_the_usage_of_all_its_calls() -> None:
    agent = Agent(TestModel())

    @agent.tool_plain
    def capital(country: str) -> str:
        return f"capital of {country}"

    result = asyncio.run(agent.run("?"))  # run_sync leaves an event loop that nobody closes
    fields = read(result)

    assert (fields["input_tokens"], fields["output_tokens"]) == (result.usage.input_tokens, result.usage.output_tokens)
    assert fields["input_tokens"] > result.response.usage.input_tokens
    assert fields["response"]["content"] == result.output


def test_an_object_of_instructor_s_is_read_through_the_answer_that_it_holds() -> None:
    class City(BaseModel):
        name: str

    city = City(name="Rome")
    answer = ChatCompletion.model_validate({**CHAT, "created": 1})
    object.__setattr__(city, "_raw_response", answer)

    assert read(city) == read(answer)
    assert read(City(name="Rome"))["response"]["content"] == {"name": "Rome"}
