"""Names that others use for our fields: by a record, by llm_operation and by record_completion alike."""

import importlib
import json
from typing import Any

import pytest

from aicore_sqllog import LlmOperationCollector, SQLLogHandler, llm_operation, polars_from_db
from aicore_sqllog.record.aliases import ALIASES
from tests.conftest import MakeHandler
from tests.support.records import capture, own

KEPT = {
    "gen_ai.agent.description",
    "gen_ai.agent.version",
    "gen_ai.data_source.id",
    "gen_ai.embeddings.dimension.count",
    "gen_ai.output.type",
    "gen_ai.prompt.name",
    "gen_ai.response.id",
    "gen_ai.token.type",
    "gen_ai.tool.definitions",
    "gen_ai.tool.description",
    "gen_ai.tool.type",
    "gen_ai.workflow.name",
}
"""OpenTelemetry's names that mean no field of ours; they stay in ``extras``, as do whole groups of them."""

KEPT_GROUPS = ("gen_ai.request.", "gen_ai.openai.", "gen_ai.evaluation.", "gen_ai.retrieval.")


def test_every_name_of_the_conventions_is_read_or_known_to_be_kept() -> None:
    module = pytest.importorskip("opentelemetry.semconv._incubating.attributes.gen_ai_attributes")
    names = {value for value in vars(module).values() if isinstance(value, str) and value.startswith("gen_ai.")}

    assert len(names) > 40
    left = {name for name in names - ALIASES.keys() - KEPT if not name.startswith(KEPT_GROUPS)}
    assert left == set(), "a new name: read it as a field, or say that it is kept"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"gen_ai.usage.cache_write.input_tokens": 2}, {"cache_write_tokens": 2}),
        ({"gen_ai.usage.cache_creation.input_tokens": 2}, {"cache_write_tokens": 2}),
        ({"gen_ai.response.time_to_first_chunk": 0.25}, {"time_to_first_token_ms": 250}),
        ({"gen_ai.usage.cost": 0.5}, {"cost": 0.5}),
        ({"gen_ai.usage.cost": {"amount": 0.5, "currency": "USD"}}, {"cost": 0.5}),
        ({"gen_ai.usage.cost.amount": 0.5}, {"cost": 0.5}),
        ({"gen_ai.agent.name": "planner"}, {"agent_id": "planner"}),
        ({"gen_ai.agent.name": "planner", "gen_ai.agent.id": "a-1"}, {"agent_id": "a-1"}),
        ({"gen_ai.response.finish_reasons": '["stop", "tool_call"]'}, {"finish_reason": "stop,tool_call"}),
        ({"gen_ai.tool.name": "search", "gen_ai.operation.name": "execute_tool"}, {"action_id": "search"}),
    ],
)
def test_names_of_today_and_of_yesterday_are_fields(names: dict[str, Any], expected: dict[str, Any]) -> None:
    record = capture(names)

    assert {name: getattr(record, name) for name in expected} == expected


def test_instructions_are_the_first_message_and_a_tool_call_is_two() -> None:
    record = capture(
        {
            "gen_ai.system_instructions": [{"type": "text", "content": "Be brief."}],
            "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "Weather?"}]}],
            "gen_ai.tool.name": "weather",
            "gen_ai.tool.call.id": "call_1",
            "gen_ai.tool.call.arguments": '{"city": "Rome"}',
            "gen_ai.tool.call.result": {"sky": "blue"},
        }
    )

    assert [(m.role, m.content) for m in record.messages] == [
        ("system", "Be brief."),
        ("user", "Weather?"),
        ("assistant", None),
        ("tool", None),
    ]
    assert [json.loads(m.parts or "")["parts"] for m in record.messages[2:]] == [
        [{"type": "tool_call", "id": "call_1", "name": "weather", "arguments": {"city": "Rome"}}],
        [{"type": "tool_call_response", "id": "call_1", "response": {"sky": "blue"}}],
    ]


def test_the_parts_of_the_conventions_are_kept_and_their_text_is_readable() -> None:
    parts = [
        {"type": "reasoning", "content": "He wants the weather."},
        {"type": "text", "content": "It is "},
        {"type": "uri", "modality": "image", "uri": "https://example.com/x.png"},
        {"type": "file", "modality": "image", "file_id": "f-1"},
        {"type": "text", "content": "sunny."},
    ]
    record = capture({"gen_ai.output.messages": [{"role": "assistant", "parts": parts, "finish_reason": "stop"}]})

    assert (record.messages[0].content, record.finish_reason) == ("It is \nsunny.", "stop")
    assert json.loads(record.messages[0].parts or "")["parts"] == parts


def test_the_model_that_answered_stands_in_where_none_was_asked_for() -> None:
    record = capture({"llm": {"response_model": "gpt-4o-2024-08-06"}})
    assert (record.model, record.response_model) == ("gpt-4o-2024-08-06", "gpt-4o-2024-08-06")
    assert own(record)["model_source"] == "response_model"
    asked = capture({"llm": {"model": "gpt-4o", "response_model": "gpt-4o-2024-08-06"}})
    assert (asked.model, "model_source" in own(asked)) == ("gpt-4o", False)


def test_an_empty_text_is_no_error_and_no_status() -> None:
    for name in ("error_message", "error_type", "status", "error.type", "error.message"):
        for empty in ("", None):
            record = capture({"provider": "p", "model": "m", name: empty})
            assert (record.status, record.error_message, record.error_type) == ("success", None, None)


def test_a_provider_s_answer_in_a_plain_record_is_read() -> None:
    answer = {
        "object": "chat.completion",
        "model": "m-1",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 1, "cost": 0.25},
    }
    for response in (answer, json.dumps(answer)):
        record = capture({"llm": {"model": "m", "input_tokens": 8, "response": response}})
        assert (record.model, record.response_model, record.finish_reason) == ("m", "m-1", "stop")
        assert (record.input_tokens, record.output_tokens, record.cost) == (8, 1, 0.25)
        assert [(m.role, m.content) for m in record.messages] == [("assistant", "Hi")]
        assert own(record)["cost_source"] == "reported"
    failed = capture({"llm": {"model": "m", "response": {"error": {"type": "overloaded", "message": "Busy"}}}})
    assert (failed.status, failed.error_type, failed.error_message) == ("error", "overloaded", "Busy")
    mine = {"candidates": [{"name": "Ann"}], "verdict": "hire"}
    kept = capture({"llm": {"model": "m", "response": mine}})
    assert (kept.operation_type, json.loads(kept.messages[0].parts or "")) == ("completion", mine)


@pytest.mark.backends("sqlite")
def test_operations_and_completions_take_them_too(make_handler: MakeHandler, log: Any, url: str) -> None:
    handler: SQLLogHandler = make_handler()
    with llm_operation(log, prompt_tokens=4, **{"gen_ai.request.model": "m"}) as op:  # type: ignore[arg-type]
        op.record({"model": "x", "finish_reason": "stop", "usage": {"input_tokens": 9, "output_tokens": 5}})
        op.set(cached_tokens=3, **{"gen_ai.response.id": "r-1"})
    assert handler.flush()
    (row,) = polars_from_db(url).to_dicts()
    assert (row["model"], row["input_tokens"], row["output_tokens"], row["cache_read_tokens"]) == ("m", 4, 5, 3)
    assert json.loads(row["extras"])["gen_ai.response.id"] == "r-1"

    LlmOperationCollector.record_completion(url, model="c", prompt_tokens=4, completion_tokens=5, **{"error.type": "t"})
    assert LlmOperationCollector.flush(url)
    row = polars_from_db(url, model="c").row(0, named=True)
    assert (row["input_tokens"], row["output_tokens"], row["status"], row["error_type"]) == (4, 5, "error", "t")
    with pytest.raises(TypeError, match="'input_tokens'"):
        LlmOperationCollector.record_completion(url, input_token=1)
    importlib.import_module("aicore_sqllog.collector")._HANDLERS.popitem()[1].close()
