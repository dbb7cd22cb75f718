"""Foreign names, provider requests and inline media: what a record may carry beside its plain fields."""

import base64
import hashlib
import json
from typing import Any

import pytest

from aicore_sqllog.capture.fields import FIELDS
from aicore_sqllog.capture.snapshot import take_snapshot
from aicore_sqllog.record.aliases import ALIASES
from tests.support.records import capture, log_record, own

PIXEL = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 3
ENCODED = base64.b64encode(PIXEL).decode()


def described(media_type: str | None) -> dict[str, Any]:
    return {"media_type": media_type, "size": len(PIXEL), "sha256": hashlib.sha256(PIXEL).hexdigest()}


@pytest.mark.parametrize(
    ("names", "is_llm"),
    [
        (["gen_ai.request.model"], True),
        (["gen_ai.anything"], True),
        (["completion_args"], True),
        (["prompt_tokens", "completion_tokens", "cached_tokens"], False),
        (["error.type", "model"], False),
    ],
)
def test_which_foreign_names_make_a_record_one_of_a_call(names: list[str], is_llm: bool) -> None:
    assert (take_snapshot(log_record(dict.fromkeys(names))) is not None) is is_llm


OTEL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.response.id": "chatcmpl-1",
    "gen_ai.response.finish_reasons": ["stop", "stop", "length"],
    "gen_ai.conversation.id": "conv-5",
    "gen_ai.agent.id": "agent-1",
    "gen_ai.usage.input_tokens": 10,
    "gen_ai.usage.output_tokens": 4,
    "gen_ai.usage.cache_read.input_tokens": 3,
    "gen_ai.usage.cache_creation.input_tokens": 2,
    "gen_ai.usage.reasoning.output_tokens": 1,
    "gen_ai.request.temperature": 0.5,
    "error.type": "timeout",
    "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]),
    "gen_ai.output.messages": [
        {"role": "assistant", "parts": [{"type": "text", "content": "one"}], "finish_reason": "stop"},
        {"role": "assistant", "parts": [{"type": "text", "content": "two"}], "finish_reason": "stop"},
    ],
}


@pytest.mark.parametrize("extra", [OTEL, {"llm": OTEL}], ids=["loose", "under llm"])
def test_opentelemetry_s_names_are_our_fields(extra: dict[str, Any]) -> None:
    record = capture(extra)

    assert (record.operation_type, record.provider, record.model) == ("chat", "openai", "gpt-4o")
    assert (record.response_model, record.finish_reason) == ("gpt-4o-2024-08-06", "stop,length")
    assert (record.session.session_key, record.agent_id, record.error_type) == ("conv-5", "agent-1", "timeout")
    assert (record.input_tokens, record.output_tokens) == (10, 4)
    assert (record.cache_read_tokens, record.cache_write_tokens, record.reasoning_tokens) == (3, 2, 1)
    assert [(m.role, m.content) for m in record.messages] == [
        ("user", "hi"),
        ("assistant", "one"),
        ("assistant", "two"),
    ]
    extras = json.loads(record.extras)
    del extras["sqllog"]
    assert extras == {"gen_ai.response.id": "chatcmpl-1", "gen_ai.request.temperature": 0.5}


def test_every_alias_fills_its_field_and_gives_way_to_it() -> None:
    for name, alias in ALIASES.items():
        if alias.field not in FIELDS:
            continue  # it becomes a message
        value: Any = 7 if alias.field.endswith("_tokens") else "v"
        filled, mine = capture({"llm": {name: value}}), capture({"llm": {alias.field: value, name: 8}})
        assert filled.extras.count(name) == 0, name
        assert own(mine)["shadowed"] == {name: 8}
        assert own(capture({"llm": {alias.field: None, name: value}})).get("shadowed") is None
        assert json.loads(capture({"llm": {"extras": {name: 8}}}).extras)[name] == 8, "extras are the caller's own"


def test_our_name_wins_wherever_it_stands_and_of_two_aliases_the_first() -> None:
    record = capture({"llm": {"prompt_tokens": 1}, "input_tokens": 2, "gen_ai.usage.input_tokens": 3})
    assert record.input_tokens == 2
    assert own(record)["shadowed"] == {"prompt_tokens": 1, "gen_ai.usage.input_tokens": 3}
    assert capture({"llm": {"prompt_tokens": 1, "gen_ai.usage.input_tokens": 3}}).input_tokens == 3


def test_a_request_gives_model_and_messages_and_loses_its_secrets() -> None:
    request = {
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 5,
        "max_completion_tokens": 6,
        "prompt_cache_key": "k",
        "temperature": 0.1,
        "api_key": "plain-secret",
        "apiKey": "plain-secret",
        "extra_headers": {"Authorization": "Bearer plain-secret", "X-Api-Key": b"plain-secret", "X-Trace": "t"},
        "headers": [("authorization", "plain-secret"), ["x-trace", "t"]],
        "extra_body": {"deep": [{"password": "plain-secret", "aws_session_token": "plain-secret", "ok": 1}]},
        "base_url": "https://bob:plain-secret@api.example.com/v1?key=plain-secret&x=1",
        "client": "Client(api_key='plain-secret', timeout=5)",
        "note": "uses sk-abcdefghijklmnop1234",
        "tools": [
            {"function": {"parameters": {"properties": {"token": {"type": "string"}, "key": {"type": "string"}}}}},
            {"type": "mcp", "authorization": "plain-secret", "headers": {"Authorization": "plain-secret"}},
        ],
    }
    record = capture({"completion_args": request})

    assert record.model == "gpt-4o"
    assert [m.content for m in record.messages] == ["hi"]
    assert "plain-secret" not in record.extras
    assert own(record)["request"] == {
        "max_tokens": 5,
        "max_completion_tokens": 6,
        "prompt_cache_key": "k",
        "temperature": 0.1,
        "extra_headers": {"X-Trace": "t"},
        "headers": [["x-trace", "t"]],
        "extra_body": {"deep": [{"ok": 1}]},
        "base_url": "https://[secret]@api.example.com/v1?key=[secret]&x=1",
        "client": "Client(api_key='[secret]', timeout=5)",
        "note": "uses [secret]",
        "tools": [request["tools"][0], {"type": "mcp", "headers": {}}],  # type: ignore[index]
    }


def test_a_record_s_own_model_and_messages_win_over_the_request_s() -> None:
    record = capture({"completion_args": {"model": "asked", "messages": "a"}, "model": "own", "messages": "b"})
    assert (record.model, [m.content for m in record.messages]) == ("own", ["b"])
    assert own(record)["request"] == {"model": "asked", "messages": "a"}
    responses = capture({"completion_args": {"input": "question", "model": "m"}})
    assert [(m.role, m.content) for m in responses.messages] == [("user", "question")]
    assert "request" not in own(responses)
    assert own(capture({"completion_args": "sk-abcdefghijklmnop1234"}))["request"] == "[secret]"
    assert own(capture({"completion_args": [("token", "x"), 5]}))["request"] == [5]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{ENCODED}", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": described("image/png"), "detail": "low"}},
        ),
        (
            {"type": "input_image", "image_url": f"data:image/png;name=x.png;base64,{ENCODED}"},
            {"type": "input_image", "image_url": described("image/png")},
        ),
        (
            {"type": "input_audio", "input_audio": {"data": ENCODED, "format": "wav"}},
            {"type": "input_audio", "input_audio": {"data": described("audio/wav"), "format": "wav"}},
        ),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": ENCODED}},
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": described("image/png")},
            },
        ),
        (
            {"inline_data": {"mime_type": "image/webp", "data": PIXEL}},
            {"inline_data": {"mime_type": "image/webp", "data": described("image/webp")}},
        ),
        (
            {"inlineData": {"mimeType": "audio/ogg", "data": base64.urlsafe_b64encode(PIXEL).decode().rstrip("=")}},
            {"inlineData": {"mimeType": "audio/ogg", "data": described("audio/ogg")}},
        ),
        (
            {"type": "blob", "mime_type": "image/png", "modality": "image", "content": ENCODED},
            {"type": "blob", "mime_type": "image/png", "modality": "image", "content": described("image/png")},
        ),
        (
            {"image": {"format": "png", "source": {"bytes": PIXEL}}},
            {"image": {"format": "png", "source": {"bytes": described("image/png")}}},
        ),
        (
            {"audio": {"id": "a", "data": ENCODED, "transcript": "hi"}},
            {"audio": {"id": "a", "data": described("audio"), "transcript": "hi"}},
        ),
    ],
)  # fmt: skip
def test_inline_media_is_replaced_by_what_it_is(part: dict[str, Any], expected: dict[str, Any]) -> None:
    record = capture({"llm": {"messages": [{"role": "user", "content": [{"type": "text", "text": "see"}, part]}]}})

    (message,) = record.messages
    assert message.content == "see"
    assert json.loads(message.parts or "") == {"content": [{"type": "text", "text": "see"}, expected]}
    parts = capture({"llm": {"response": {"role": "model", "parts": [{"text": "seen"}, part]}}}).messages[0]
    assert (parts.content, json.loads(parts.parts or "")) == ("seen", {"parts": [{"text": "seen"}, expected]})


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain text"}},
        {"type": "text", "text": "data:image/png;base64,iVBORw0KGgo= is how such a URL begins"},
        {"data": "not media", "format": "json"},
        {"type": "tool_result", "content": "data", "mime_type": "application/json"},
    ],
)
def test_what_is_no_inline_media_stays(part: dict[str, Any]) -> None:
    (message,) = capture({"llm": {"messages": [{"role": "user", "content": [part]}]}}).messages
    assert json.loads(message.parts or "") == {"content": [part]}
