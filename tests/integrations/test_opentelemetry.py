"""Spans of the official instrumentations of OpenAI and Anthropic, of pydantic-ai and of MCP: rows and their parents."""

import asyncio
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

import pytest
from opentelemetry.context import attach, detach, get_current
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Status, StatusCode

from aicore_sqllog import llm_operation, llm_session
from aicore_sqllog.integrations.opentelemetry import SQLLogSpanProcessor
from tests.integrations.conftest import Stored, wants

pytestmark = [pytest.mark.backends("sqlite"), pytest.mark.slow]

QUESTION = [{"role": "user", "content": "Where?"}]
INSTRUMENTORS = {
    "openai": ("opentelemetry.instrumentation.genai.openai", "OpenAIInstrumentor"),
    "anthropic": ("opentelemetry.instrumentation.genai.anthropic", "AnthropicInstrumentor"),
}
CONTENT = {
    "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "span_only",
}
"""What makes the instrumentations write the messages into their spans."""


class Telemetry:
    """Providers of traces and events with the processor in them, and the instrumentations that write to them."""

    def __init__(self, log: logging.Logger) -> None:
        self.tracing, self.events = TracerProvider(shutdown_on_exit=False), LoggerProvider(shutdown_on_exit=False)
        self.processor = SQLLogSpanProcessor(log, user_id="ann")
        self.tracing.add_span_processor(self.processor)
        self.events.add_log_record_processor(self.processor)
        self.tracer = self.tracing.get_tracer("tests")
        self._instrumentors: list[Any] = []

    def instrument(self, sdk: str) -> None:
        module, name = INSTRUMENTORS[sdk]
        instrumentor = getattr(import_module(module), name)()
        instrumentor.instrument(tracer_provider=self.tracing, logger_provider=self.events, skip_dep_check=True)
        self._instrumentors.append(instrumentor)

    def close(self) -> None:
        for instrumentor in self._instrumentors:
            instrumentor.uninstrument()
        self.tracing.shutdown()
        self.events.shutdown()


@pytest.fixture
def content(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the instrumentations capture contents."""
    for name, value in CONTENT.items():
        monkeypatch.setenv(name, value)
    stability = import_module("opentelemetry.instrumentation._semconv")._OpenTelemetrySemanticConventionStability
    monkeypatch.setattr(stability, "_initialized", False)
    stability._initialize()


@pytest.fixture
def telemetry(log: logging.Logger) -> Iterator[Telemetry]:
    telemetry = Telemetry(log)
    yield telemetry
    telemetry.close()


@pytest.fixture
def openai(content: None, telemetry: Telemetry, answers: str) -> Iterator[Any]:
    telemetry.instrument("openai")
    with import_module("openai").OpenAI(base_url=answers, api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture
def anthropic(content: None, telemetry: Telemetry, answers: str) -> Iterator[Any]:
    telemetry.instrument("anthropic")
    with import_module("anthropic").Anthropic(base_url=answers, api_key="k", max_retries=0) as client:
        yield client


def ask_openai(client: Any, name: str, **more: Any) -> Any:
    asked = {"model": "gpt-4o-mini", "messages": QUESTION, "extra_headers": wants(name)}
    return client.chat.completions.create(**asked, **more)


def ask_anthropic(client: Any, name: str, **more: Any) -> Any:
    asked = {"model": "claude-sonnet-4-6", "messages": QUESTION, "max_tokens": 9, "extra_headers": wants(name)}
    return client.messages.create(**asked, **more)


def test_openai_plain_streamed_with_tools_and_failing(
    openai: Any, telemetry: Telemetry, stored: Stored, log: logging.Logger
) -> None:
    with llm_session("chat-42"), llm_operation(log, operation_type="agent") as agent:
        with telemetry.tracer.start_as_current_span("work of another kind"):
            plain = ask_openai(openai, "chat")
        text = "".join(
            chunk.choices[0].delta.content or ""
            for chunk in ask_openai(openai, "chat stream", stream=True)
            if chunk.choices
        )
        ask_openai(openai, "chat tools")
        with pytest.raises(import_module("openai").NotFoundError):
            ask_openai(openai, "chat failure")
    outer, first, stream, tools, failed = stored()

    assert outer["operation_type"] == "agent"
    for row in (first, stream, tools, failed):
        assert row["parent_operation_id"] == agent.operation_id
        assert (row["session_key"], row["user_id"], row["operation_type"]) == ("chat-42", "ann", "chat")
        assert (row["provider"], row["model"]) == ("openai", "gpt-4o-mini")
        assert row["messages"][0]["content"] == "Where?"
    assert (first["input_tokens"], first["output_tokens"]) == (plain.usage.prompt_tokens, plain.usage.completion_tokens)
    assert (first["finish_reason"], first["response_model"]) == ("stop", plain.model)
    assert first["messages"][-1]["content"] == plain.choices[0].message.content
    assert stream["messages"][-1]["content"] == text
    assert "tool" in tools["finish_reason"]
    assert "OpenMeteoTool" in str(tools["messages"][-1]["parts"])
    assert (failed["status"], first["status"]) == ("error", "success")
    assert failed["error_type"] == "NotFoundError" or failed["error_type"].endswith(".NotFoundError")
    assert len(first["extras"]["opentelemetry"]["trace_id"]) == 32


def test_anthropic_plain_streamed_with_tools_and_failing(anthropic: Any, stored: Stored) -> None:
    plain = ask_anthropic(anthropic, "message")
    list(ask_anthropic(anthropic, "message stream", stream=True))
    ask_anthropic(anthropic, "message tools")
    with pytest.raises(import_module("anthropic").NotFoundError):
        ask_anthropic(anthropic, "message failure")
    first, stream, tools, failed = stored()

    for row in (first, stream, tools, failed):
        assert (row["provider"], row["model"], row["operation_type"]) == ("anthropic", "claude-sonnet-4-6", "chat")
    assert (first["input_tokens"], first["output_tokens"]) == (plain.usage.input_tokens, plain.usage.output_tokens)
    assert (first["status"], stream["status"], failed["status"]) == ("success", "success", "error")
    assert stream["output_tokens"] > 0
    assert "tool" in tools["finish_reason"]


def test_calls_in_parallel_keep_their_parents(openai: Any, telemetry: Telemetry, stored: Stored) -> None:
    def one(number: int) -> None:
        kind = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": str(number)}
        with telemetry.tracer.start_as_current_span("agent", attributes=kind):
            ask_openai(openai, "chat")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(8)))
    rows = stored()
    agents = {row["operation_id"] for row in rows if row["operation_type"] == "invoke_agent"}
    parents = [row["parent_operation_id"] for row in rows if row["operation_type"] == "chat"]

    assert len(agents) == 8
    assert sorted(parents) == sorted(agents)


def test_the_agents_of_pydantic_ai_are_trees(telemetry: Telemetry, stored: Stored, answers: str) -> None:
    ai, models = import_module("pydantic_ai"), import_module("pydantic_ai.models.openai")
    settings = import_module("pydantic_ai.models.instrumented").InstrumentationSettings
    client = import_module("openai").AsyncOpenAI(base_url=answers, api_key="k", max_retries=0)
    provider = import_module("pydantic_ai.providers.openai").OpenAIProvider(openai_client=client)
    model = models.OpenAIChatModel("gpt-4o-mini", provider=provider)
    watched = settings(tracer_provider=telemetry.tracing)

    def agent(name: str, toolset: list[Any]) -> Any:
        capability = {"capabilities": [import_module("pydantic_ai.capabilities").Instrumentation(watched)]}
        headers = {"extra_headers": wants(name)}
        return ai.Agent(model, name="guide", model_settings=headers, tools=toolset, **capability)

    async def ask() -> None:
        await asyncio.gather(*(agent("chat", []).run("Where?") for _ in range(3)))
        async with agent("chat stream", []).run_stream("Where?") as stream:
            await stream.get_output()
        with pytest.raises(import_module("pydantic_ai.exceptions").ModelHTTPError):
            await agent("chat failure", []).run("Where?")
        await client.close()

    asyncio.run(ask())
    rows = stored()
    agents = {row["operation_id"]: row for row in rows if row["operation_type"] == "invoke_agent"}
    calls = [row for row in rows if row["operation_type"] == "chat"]

    assert (len(agents), len(calls)) == (5, 5)
    assert {row["parent_operation_id"] for row in calls} == agents.keys()
    assert sum(row["status"] == "error" for row in rows) == 2
    answered = [row for row in calls if row["status"] == "success"]
    assert all(row["messages"][0]["content"] == "Where?" and row["input_tokens"] for row in answered)
    assert {row["agent_id"] for row in agents.values()} == {"guide"}


def test_the_tools_of_an_agent_stand_under_it(telemetry: Telemetry, stored: Stored) -> None:
    ai, test_model = import_module("pydantic_ai"), import_module("pydantic_ai.models.test").TestModel
    settings = import_module("pydantic_ai.models.instrumented").InstrumentationSettings
    watched = settings(tracer_provider=telemetry.tracing)

    def look_up(city: str) -> str:
        """Say where a city is."""
        return f"{city} is in Italy"

    watching = import_module("pydantic_ai.capabilities").Instrumentation(watched)
    runner = ai.Agent(test_model(), tools=[look_up], capabilities=[watching])
    asyncio.run(runner.run("Where?"))  # run_sync leaves an event loop that nobody closes
    rows = stored()
    (agent,) = (row for row in rows if row["operation_type"] == "invoke_agent")
    (tool,) = (row for row in rows if row["operation_type"] == "execute_tool")

    assert (tool["parent_operation_id"], tool["action_id"]) == (agent["operation_id"], "look_up")
    assert "is in Italy" in str(tool["messages"])


def test_names_of_earlier_conventions_and_of_mcp_are_read(telemetry: Telemetry, stored: Stored) -> None:
    flat = {
        "llm.request.type": "chat",
        "gen_ai.system": "openai",
        "gen_ai.request.model": "gpt-4",
        "gen_ai.prompt.0.role": "user",
        "gen_ai.prompt.0.content": "Where?",
        "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.finish_reason": "tool_calls",
        "gen_ai.completion.0.tool_calls.0.id": "c-1",
        "gen_ai.completion.0.tool_calls.0.name": "look_up",
        "gen_ai.completion.0.tool_calls.0.arguments": "{}",
        "gen_ai.usage.prompt_tokens": 5,
        "gen_ai.usage.completion_tokens": 2,
        "server.address": "api.openai.com",
    }
    with telemetry.tracer.start_as_current_span("openai.chat", attributes=flat) as span:
        span.add_event(
            "gen_ai.evaluation.result", {"gen_ai.evaluation.name": "helpful", "gen_ai.evaluation.score.value": 0.5}
        )
        mcp = {"mcp.method.name": "tools/call", "gen_ai.tool.name": "look_up", "mcp.session.id": "s"}
        with telemetry.tracer.start_as_current_span("tools/call look_up", attributes=mcp) as tool:
            tool.set_status(Status(StatusCode.ERROR, "no such tool"))
    call, tool_row = stored()

    assert (call["operation_type"], call["provider"], call["model"]) == ("chat", "openai", "gpt-4")
    assert (call["input_tokens"], call["output_tokens"], call["finish_reason"]) == (5, 2, "tool_calls")
    assert [message["role"] for message in call["messages"]] == ["user", "assistant"]
    assert "look_up" in str(call["messages"][1]["parts"])
    assert call["extras"]["evaluations"] == [
        {"gen_ai.evaluation.name": "helpful", "gen_ai.evaluation.score.value": 0.5}
    ]
    assert call["extras"]["server.address"] == "api.openai.com"
    assert (tool_row["operation_type"], tool_row["action_id"]) == ("execute_tool", "look_up")
    assert (tool_row["parent_operation_id"], tool_row["status"]) == (call["operation_id"], "error")
    assert tool_row["error_message"] == "no such tool"


def test_an_evaluation_that_comes_late_is_a_row_under_what_it_is_about(telemetry: Telemetry, stored: Stored) -> None:
    records = import_module("opentelemetry._logs").LogRecord
    with telemetry.tracer.start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat"}):
        inside = get_current()
    token = attach(inside)
    telemetry.events.get_logger("tests").emit(
        records(event_name="gen_ai.evaluation.result", attributes={"gen_ai.evaluation.name": "helpful"})
    )
    detach(token)
    call, evaluation = stored()

    assert (evaluation["operation_type"], evaluation["parent_operation_id"]) == ("evaluation", call["operation_id"])
    assert evaluation["extras"]["evaluations"] == [{"gen_ai.evaluation.name": "helpful"}]


def test_messages_that_were_logged_as_events_are_the_call_s(telemetry: Telemetry, stored: Stored) -> None:
    """As instrumentations of OpenAI did until contents moved into the span."""
    record, events = import_module("opentelemetry._logs").LogRecord, telemetry.events.get_logger("tests")
    asked = {"gen_ai.operation.name": "chat", "gen_ai.system": "openai", "gen_ai.request.model": "gpt-4"}
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Rome"}}
    with telemetry.tracer.start_as_current_span("chat gpt-4", attributes=asked) as span:
        for name, body in (("user", {"content": "Where?"}), ("choice", choice)):
            kind = "gen_ai.choice" if name == "choice" else f"gen_ai.{name}.message"
            events.emit(record(event_name=kind, attributes={"gen_ai.system": "openai"}, body=body))
        span.set_attributes({"gen_ai.response.finish_reasons": ["stop"], "gen_ai.usage.input_tokens": 3})
    (call,) = stored()

    assert [(m["role"], m["content"]) for m in call["messages"]] == [("user", "Where?"), ("assistant", "Rome")]
    assert (call["provider"], call["finish_reason"], call["input_tokens"]) == ("openai", "stop", 3)
