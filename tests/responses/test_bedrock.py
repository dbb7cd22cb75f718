"""Every recorded answer of Bedrock's converse, whole and streamed, against its own JSON, key by key."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.shapes import read, stream
from tests.support.traffic import documents


def exchanges(data: Path, api: str) -> list[dict[str, Any]]:
    found = [exchange for path in sorted(data.glob("http_*/exchanges.jsonl.gz")) for exchange in documents(path)]
    return [e for e in found if (e["provider"], e["api"]) == ("bedrock", api) and e["status"] == 200]


def events(body: bytes) -> Iterator[dict[str, Any]]:
    """Yield the events of AWS's binary framing as boto3 does: each under its type."""
    while body:
        length, headers_length = int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big")
        headers, payload = body[12 : 12 + headers_length], body[12 + headers_length : length - 4]
        body = body[length:]
        name = headers.partition(b":event-type\x07")[2]
        yield {name[2 : 2 + int.from_bytes(name[:2], "big")].decode(): json.loads(payload)}


def check(fields: dict[str, Any], usage: dict[str, int], stop_reason: str) -> None:
    read_tokens, write_tokens = usage.get("cacheReadInputTokens"), usage.get("cacheWriteInputTokens")
    assert fields["input_tokens"] == usage["inputTokens"] + (read_tokens or 0) + (write_tokens or 0)
    assert fields["input_tokens"] + fields["output_tokens"] == usage["totalTokens"], "Bedrock's own total"
    assert (fields.get("cache_read_tokens"), fields.get("cache_write_tokens")) == (read_tokens, write_tokens)
    assert (fields["finish_reason"], fields["status"], fields["provider"]) == (stop_reason, "success", "aws.bedrock")


def test_whole_answers_are_read(data: Path) -> None:
    answers = exchanges(data, "converse")
    assert len(answers) > 100
    for exchange in answers:
        body = exchange["response_body"]
        body = json.loads(body) if isinstance(body, str) else body
        fields = read(body)
        check(fields, body["usage"], body["stopReason"])
        blocks = body["output"]["message"]["content"]
        names = [block["toolUse"]["name"] for block in blocks if "toolUse" in block]
        assert [call["function"]["name"] for call in fields["response"].get("tool_calls", [])] == names


def test_streamed_answers_are_read(data: Path) -> None:
    answers = exchanges(data, "converse_stream")
    assert len(answers) > 10
    for exchange in answers:
        chunks = list(events(base64.b64decode(exchange["response_body"])))
        said = {name: value for chunk in chunks for name, value in chunk.items()}
        deltas = [chunk["contentBlockDelta"]["delta"] for chunk in chunks if "contentBlockDelta" in chunk]
        fields = stream(chunks)
        check(fields, said["metadata"]["usage"], said["messageStop"]["stopReason"])
        content = fields["response"]["content"]
        blocks = [{"text": content}] if isinstance(content, str) else content
        assert "".join(b.get("text", "") for b in blocks) == "".join(d.get("text", "") for d in deltas)


@pytest.mark.parametrize("answer", [{"message": "The model identifier is invalid."}])
def test_an_error_without_its_exception_is_no_more_than_a_message(answer: dict[str, Any]) -> None:
    assert read(answer) == {"response": {"role": "assistant", "content": answer}}
