"""Whole answers of every family, by hand: odd and hostile ones too. No SDK, no network."""

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from aicore_sqllog.capture.fields import FIELDS
from aicore_sqllog.responses.plain import to_plain
from aicore_sqllog.responses.providers import find_provider, provider_of_host
from aicore_sqllog.responses.sdk_exceptions import read_exception
from tests.support.processes import run_python
from tests.support.shapes import (
    CHAT,
    CONVERSE,
    COUNTS,
    GEMINI,
    MESSAGE,
    RESPONSE,
    Hostile,
    HostileMapping,
    HostileProperty,
    HostileText,
    as_objects,
    counts,
    endless,
    read,
    stream,
    with_odd_values,
)


@pytest.mark.parametrize(
    ("body", "operation", "expected"),
    [
        pytest.param(CHAT, "chat", (9, 1, None, None, None), id="openai chat"),
        pytest.param(RESPONSE, "chat", (9, 7, None, None, 6), id="openai responses"),
        pytest.param(MESSAGE, "chat", (543, 7, 40, 500, None), id="anthropic: the cache is part of the input"),
        pytest.param(CONVERSE, "chat", (543, 7, 40, 500, None), id="bedrock: the cache is part of the input"),
        pytest.param(GEMINI, "generate_content", (109, 7, 4, None, 6), id="gemini: thoughts are part of the output"),
    ],
)
def test_counts_are_inclusive(body: dict[str, Any], operation: str, expected: tuple[Any, ...]) -> None:
    for given in (body, as_objects(body), OrderedDict(body)):
        fields = read(given)
        assert counts(fields) == expected
        assert fields["operation_type"] == operation
        assert fields.get("response_model", "some-model") == "some-model"
        assert fields["status"] == "success"
        assert fields.keys() <= FIELDS, "each key is a field of a record"


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        pytest.param({"prompt_cache_hit_tokens": 4}, {"cache_read_tokens": 4}, id="deepseek"),
        pytest.param({"num_cached_tokens": 4}, {"cache_read_tokens": 4}, id="mistral"),
        pytest.param({"cached_tokens": 4}, {"cache_read_tokens": 4}, id="together"),
        pytest.param(
            {"prompt_tokens_details": {"cached_tokens": 0}}, {"cache_read_tokens": 0}, id="openai, said to be 0"
        ),
        pytest.param({"prompt_tokens_details": {"cache_write_tokens": 3}}, {"cache_write_tokens": 3}, id="openrouter"),
        pytest.param(
            {"completion_tokens_details": {"reasoning_tokens": 6}, "total_tokens": 16},
            {"reasoning_tokens": 6, "output_tokens": 7},
            id="xai: the total has the reasoning, the completion has not",
        ),
        pytest.param(
            {"prompt_tokens_details": {"cached_tokens": 161}},
            {"cache_read_tokens": 161, "input_tokens": 170},
            id="more from the cache than in the prompt",
        ),
        pytest.param(
            {"prompt_tokens": "9", "completion_tokens": True},
            {"input_tokens": None, "output_tokens": None},
            id="no numbers",
        ),
        pytest.param(
            {"prompt_tokens": -1, "completion_tokens": 1.0},
            {"input_tokens": None, "output_tokens": 1},
            id="odd numbers",
        ),
    ],
)
def test_usage_has_many_dialects(usage: dict[str, Any], expected: dict[str, int | None]) -> None:
    fields = read({**CHAT, "usage": {**CHAT["usage"], **usage}})

    assert {name: fields.get(name) for name in expected} == expected
    assert fields["extras"]["usage"] == {**CHAT["usage"], **usage}, "what has no field is kept"


@pytest.mark.parametrize("body", [CHAT, RESPONSE, MESSAGE, GEMINI])
@pytest.mark.parametrize("usage", [{}, {"usage": None, "usageMetadata": None}, {"usage": "none", "usageMetadata": []}])
def test_an_unknown_count_is_absent(body: dict[str, Any], usage: dict[str, Any]) -> None:
    without = {name: item for name, item in body.items() if not name.startswith("usage")}

    assert read(without | usage).keys().isdisjoint(COUNTS)


def test_the_message_keeps_all_that_it_carries() -> None:
    logprobs = {"content": [{"token": "Hi", "logprob": -0.1}]}
    said = {"role": "assistant", "content": "Hi", "reasoning": "Greet.", "annotations": [{"type": "url_citation"}]}
    other = {"index": 1, "finish_reason": "length", "message": {"role": "assistant", "content": "Ho"}}

    response = read({**CHAT, "choices": [{"message": said, "logprobs": logprobs}, other]})["response"]

    assert response == {**said, "logprobs": logprobs, "other_choices": [{"role": "assistant", "content": "Ho"}]}


def test_tool_calls_have_one_form() -> None:
    calls = [read(body)["response"]["tool_calls"] for body in (RESPONSE, MESSAGE, GEMINI)]

    assert [call["id"] for call in calls[0] + calls[1]] == ["call_1", "toolu_1"]
    assert {call["function"]["name"] for made in calls for call in made} == {"wave"}
    assert [json.loads(call["function"]["arguments"]) for made in calls for call in made] == [
        {"hands": 2},
        {"hands": 2},
        {"both_hands": True},
    ]


def test_the_parts_of_an_answer_stay_in_order() -> None:
    responses, anthropic, gemini = (read(body)["response"] for body in (RESPONSE, MESSAGE, GEMINI))

    assert [part["type"] for part in responses["content"]] == ["reasoning", "output_text", "function_call"]
    assert [part["type"] for part in anthropic["content"]] == ["text", "tool_use"]
    assert [*map(len, (gemini["content"], gemini["thoughts"]))] == [2, 1]


@pytest.mark.parametrize(
    "body",
    [
        {**RESPONSE, "output": RESPONSE["output"][1:2]},
        {**MESSAGE, "content": MESSAGE["content"][:1]},
        {**GEMINI, "candidates": [{"content": {"parts": [{"text": "H"}, {"text": "i"}]}}]},
    ],
)
def test_an_answer_that_is_only_text_is_a_text(body: dict[str, Any]) -> None:
    assert read(body)["response"]["content"] == "Hi"


def test_snake_case_is_gemini_too_and_the_applications_own_keys_stay() -> None:
    snake = {
        "candidates": [
            {
                "content": {"parts": [{"function_call": {"name": "wave", "args": {"both_hands": True}}}]},
                "finish_reason": "STOP",
            }
        ],
        "usage_metadata": {"prompt_token_count": 9, "candidates_token_count": 1, "thoughts_token_count": 6},
        "model_version": "some-model",
        "sdk_http_response": {"headers": {"secret": "s"}},
    }

    fields = read(snake)

    assert counts(fields) == (9, 7, None, None, 6)
    assert fields["response"]["content"] == [{"functionCall": {"name": "wave", "args": {"both_hands": True}}}]
    assert "secret" not in str(fields)


@pytest.mark.parametrize(
    ("body", "dimensions"),
    [
        ({"object": "list", "data": [{"embedding": [0.5] * 1536}] * 2, "usage": {"prompt_tokens": 8}}, 1536),
        ({"object": "list", "data": [{"embedding": [0.5] * 3}] * 2, "usage": {"prompt_tokens": 8}}, 3),
        ({"object": "list", "data": [{"embedding": "AAAAPwAAAD8="}] * 2, "usage": {"total_tokens": 8}}, 2),
        ({"embeddings": [{"values": [0, 0.5] * 64}] * 2, "usageMetadata": {"promptTokenCount": 8}}, 128),
    ],
)
def test_vectors_are_counted_and_not_kept(body: dict[str, Any], dimensions: int) -> None:
    fields = read(body)

    assert (fields["operation_type"], fields["input_tokens"]) == ("embeddings", 8)
    assert fields["extras"]["embeddings"] == {"count": 2, "dimensions": dimensions}
    assert "0.5" not in str(fields)
    assert "output_tokens" not in fields


def test_a_legacy_completion_is_an_answer_too() -> None:
    body = {
        "object": "text_completion",
        "model": "m",
        "choices": [{"text": "Hi", "index": 0, "finish_reason": "length"}],
    }

    fields = read(body)

    assert (fields["operation_type"], fields["finish_reason"]) == ("text_completion", "length")
    assert fields["response"] == {"role": "assistant", "content": "Hi"}


def test_what_is_not_over_has_no_status() -> None:
    assert "status" not in read({**RESPONSE, "status": "in_progress", "output": []})
    cut = read({**RESPONSE, "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}})
    assert (cut["status"], cut["finish_reason"]) == ("success", "max_output_tokens")
    blocked = read({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}})
    assert blocked["finish_reason"] == "SAFETY"


# Unknown and hostile


def test_an_unknown_shape_gives_what_is_recognisable_and_the_rest() -> None:
    body = {
        "model": "m",
        "done_reason": "stop",
        "message": {"role": "assistant", "content": "Hi"},
        "prompt_eval_count": 9,
        "eval_count": 1,
        "other": {"a": 1},
    }

    fields = read(body)

    assert (fields["response_model"], fields["finish_reason"], *counts(fields)[:2]) == ("m", "stop", 9, 1)
    assert fields["response"] == {"role": "assistant", "content": "Hi"}
    assert fields["extras"]["other"] == {"a": 1}


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (None, {}),
        ("Hi", {"response": "Hi"}),
        ('{"city": "Paris"}', {"response": '{"city": "Paris"}'}),
        ("[1, 2", {"response": "[1, 2"}),
        (b"Hi", {"response": "Hi"}),
        ({"a": 1}, {"response": {"role": "assistant", "content": {"a": 1}}}),
        ({}, {}),
        ([1, 2], {"response": {"role": "assistant", "content": [1, 2]}}),
        (7, {"response": {"role": "assistant", "content": 7}}),
    ],
)
def test_anything_may_be_a_response(response: object, expected: dict[str, Any]) -> None:
    assert read(response) == expected


def test_the_json_text_of_an_answer_is_the_answer() -> None:
    assert read(json.dumps(CHAT)) == read(json.dumps(CHAT).encode()) == read(CHAT)


@pytest.mark.parametrize(
    "make", [Hostile, lambda: HostileMapping(a=1), lambda: HostileText("x"), object, lambda: Hostile, endless]
)
def test_nothing_raises(make: Callable[[], Any]) -> None:
    response = make()
    assert isinstance(read(response), dict)
    assert isinstance(
        stream([response, {"choices": [response]}, {"type": "content_block_delta", "delta": response}]), dict
    )
    assert isinstance(read_exception(response), dict)


def test_what_can_be_read_of_a_hostile_object_is_read() -> None:
    fields = read(HostileProperty())

    assert (fields["response_model"], fields["response"]["content"]) == ("m", "Hi")


@pytest.mark.parametrize("body", [CHAT, RESPONSE, MESSAGE, GEMINI, CONVERSE])
def test_no_part_of_an_answer_need_be_what_it_should(body: dict[str, Any]) -> None:
    changes = list(with_odd_values(body))

    assert len(changes) > 200
    assert [changed for changed in changes if "fault" in str(read(changed).get("extras", {}))] == []


def test_an_object_is_read_by_what_it_holds() -> None:
    @dataclass
    class Part:
        text: str

    class Pair(NamedTuple):
        a: int
        b: Part

    class Converted:
        __slots__ = ()

        def to_dict(self) -> dict[str, Any]:
            return {"a": b"\xff"}

    given = {
        "part": Part("x"),
        "pair": Pair(1, Part("y")),
        "items": {1: (2, 3)},
        "converted": Converted(),
    }

    assert to_plain(Decimal("0.10")) == Decimal("0.10")
    assert to_plain(given) == {
        "part": {"text": "x"},
        "pair": {"a": 1, "b": {"text": "y"}},
        "items": {"1": [2, 3]},
        "converted": {"a": b"\xff"},
    }


def test_no_key_is_read_of_an_object_that_leads_to_one() -> None:
    class Stream:
        def __init__(self) -> None:
            self.response = SimpleNamespace(request=SimpleNamespace(text="sk-key"))

        def __next__(self) -> Any:
            raise AssertionError("a stream that is no answer must not be read")

    client = SimpleNamespace(api_key="sk-key", headers={"authorization": "sk-key"})

    for held in (Stream(), client, SimpleNamespace(client=client, a=1)):
        assert "sk-key" not in str(read(held))
    kept = {"api_key": "[secret]", "headers": {"authorization": "[secret]"}}
    assert read(SimpleNamespace(client=client, a=1)) == read({"a": 1, "client": kept})


def test_a_raw_http_response_is_read_by_what_it_has_received() -> None:
    received = SimpleNamespace(_content=json.dumps(CHAT).encode())

    assert read(received) == read(SimpleNamespace(http_response=received)) == read(CHAT)


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("api.openai.com", "openai"),
        ("eu.api.openai.com", "openai"),
        ("notapi.openai.com", None),
        ("", None),
        (None, None),
    ],
)
def test_a_host_is_known_by_its_whole_name(host: object, provider: str | None) -> None:
    assert provider_of_host(host) == provider


def test_a_provider_is_told_only_by_its_mark() -> None:
    assert find_provider(CHAT) is None
    assert find_provider({**CHAT, "x_groq": {"id": "r"}}) == "groq"
    assert read({**CHAT, "prompt_filter_results": []})["provider"] == "azure.ai.openai"
    assert read(MESSAGE)["provider"] == "anthropic"
    assert read({**MESSAGE, "id": "msg_bdrk_1"})["provider"] == "aws.bedrock"


def test_reading_loads_no_sdk(tmp_path: Any) -> None:
    code = (
        "import sys\n"
        "from aicore_sqllog.responses.gather import StreamReader\n"
        "from aicore_sqllog.responses.read import read_response\n"
        "from aicore_sqllog.responses.sdk_exceptions import read_exception\n"
        "read_response({'choices': [{'message': {}}]}); read_exception(ValueError()); StreamReader().add({})\n"
        "heavy = ('openai', 'anthropic', 'google', 'pydantic', 'sqlalchemy', 'polars', 'asyncio')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = run_python("-c", code, cwd=tmp_path)

    assert (done.stdout.strip(), done.stderr) == ("[]", "")
