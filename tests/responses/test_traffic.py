"""Every recorded exchange is read as the provider's own SDK reads it: from the SDK's objects, and from the JSON."""

import json
import logging
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from aicore_sqllog.capture.build import Defaults, RecordBuilder
from aicore_sqllog.capture.snapshot import take_snapshot
from aicore_sqllog.responses.gather import StreamReader
from aicore_sqllog.responses.read import read_response
from aicore_sqllog.responses.sdk_exceptions import read_exception
from tests.conftest import REPORT
from tests.support.recordings import Recording, recordings, served
from tests.support.sdks import API_KEY, Facts, Reply, Sdks

pytestmark = pytest.mark.slow

COMPARED = (
    "response_model",
    "finish_reason",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "error_type",
    "error_message",
)
PROVIDERS = {
    "azure_openai": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertexai": "gcp.vertex_ai",
    "xai": "x_ai",
    "zai": "z_ai",
}
"""The names of the recordings that are not ours."""

MISSES = {
    "dcba75e861de7f5e": "an error in mid-stream: its chunk has the usage too, which the SDK does not hand out",
}
"""Where what is read differs from what the SDK says, and why."""

UNREADABLE = {
    "f6f17c03acb61f4a": "finishReason is a number, not a name",
    "c4aee4a14f373eda": "finishReason is a number, not a name",
    "b300d65a6c701728": "finishReason is a number, not a name",
    "45d5952967a3dff4": "finishReason is a number, not a name",
    "35346352e1b1c0ca": "streamed as one JSON array",
    "dd3397e32454ec71": "streamed as one JSON array",
    "9d3bab328ac96018": "streamed as one JSON array",
    "48426268166e7d2c": "streamed as one JSON array",
    "f1e6d980faa43d1a": "streamed as one JSON array",
    "5f0900d0ea4c692e": "streamed as one JSON array",
}
"""What google-genai cannot read and raises for; compared with the recorded JSON instead, key by key."""

MISNAMED = {
    ("huggingface", "together"): "Hugging Face's router passes on what Together answered",
    ("openai", "openrouter"): "OpenRouter's answers, recorded under OpenAI's URL",
    ("portkey", "openai"): "a gateway that passes on what OpenAI answered",
    ("bedrock", "anthropic"): "an id without Bedrock's mark",
}
"""Where the recording's host is not who the answer says, and why."""

HELPER_MISSES = {"7fb5c37a61416ec4": "the openai SDK's helper drops Perplexity's last chunk, whose object is its own"}


class Comparison(NamedTuple):
    """One exchange: what the SDK said, and what was read of its objects and of the JSON."""

    recording: Recording
    reply: Reply
    of_objects: dict[str, Any]
    of_json: dict[str, Any]

    def differences(self) -> list[str]:
        expected = {name: fact for name, fact in self.reply.facts.items() if name != "status_code"}
        found = [f"JSON: {line}" for line in _differences(facts_of(self.of_json), expected)]
        if self.recording.id in UNREADABLE:
            return found
        if self.reply.error is not None:  # an exception has a type of its own, where the provider gave none
            kind = type(self.reply.error)
            expected.setdefault("error_type", f"{kind.__module__}.{kind.__qualname__}")
        return [f"objects: {line}" for line in _differences(facts_of(self.of_objects), expected)] + found

    @property
    def verdict(self) -> str:
        if self.differences():
            return "wrong"
        return "equal" if "input_tokens" in self.reply.facts else "without usage"

    @property
    def provider(self) -> str:
        """Whether the provider was told rightly, wrongly or not at all."""
        said = {read["provider"] for read in (self.of_objects, self.of_json) if "provider" in read}
        right = PROVIDERS.get(self.recording.provider, self.recording.provider)
        return "not told" if not said else "told" if said == {right} else "misnamed"


def facts_of(fields: dict[str, Any]) -> Facts:
    """Return what the record's *fields* say, as the SDKs' facts are put."""
    facts = {name: fields[name] for name in COMPARED if name in fields}
    message = fields.get("response") or {}
    content = message.get("content") or ""
    parts = [{"text": content}] if isinstance(content, str) else content
    text = "".join(part["text"] for part in parts if isinstance(part.get("text"), str))
    tools = [call["function"]["name"] for call in message.get("tool_calls") or []]
    vectors = fields.get("extras", {}).get("embeddings")
    told = {"text": text, "tools": tools, "vectors": vectors}
    return facts | {name: value for name, value in told.items() if value}


def _differences(found: Facts, expected: Facts) -> list[str]:
    return [
        f"{name} is {str(found.get(name))[:80]}, the SDK says {str(expected.get(name))[:80]}"
        for name in sorted({*found, *expected})
        if found.get(name) != expected.get(name)
    ]


def compare(recording: Recording, sdks: Sdks) -> Comparison:
    reply = sdks.ask(recording, raw=recording.id in UNREADABLE)
    if recording.streamed:
        of_objects = read_stream(reply.objects) | (read_exception(reply.error) if reply.error else {})
        return Comparison(recording, reply, of_objects, read_stream(recording.chunks()))
    of_objects = read_exception(reply.error) if reply.error else read_response(next(iter(reply.objects), None))
    if recording.call.startswith("bedrock") and reply.error:
        return Comparison(recording, reply, of_objects, of_objects)  # {"message": …} alone could be anything
    return Comparison(recording, reply, of_objects, read_response(recording.json))


def read_stream(chunks: list[Any]) -> dict[str, Any]:
    stream = StreamReader()
    for chunk in chunks:
        stream.add(chunk)
    return stream.result()


@pytest.fixture(scope="module")
def recorded(data: Path) -> list[Recording]:
    return list(recordings(data))


@pytest.fixture(scope="module")
def sdks(recorded: list[Recording]) -> Iterator[Sdks]:
    with (
        served({recording.id: recording for recording in recorded}) as url,
        pytest.MonkeyPatch.context() as environment,
    ):
        for variable in [
            name for name in os.environ if name.startswith(("OPENAI_", "ANTHROPIC_", "GOOGLE_", "GEMINI_"))
        ]:
            environment.delenv(variable)
        environment.setenv("NO_PROXY", "127.0.0.1")
        clients = Sdks(url)
        yield clients
        clients.close()


@pytest.fixture(scope="module")
def compared(recorded: list[Recording], sdks: Sdks) -> list[Comparison]:
    comparisons = [compare(recording, sdks) for recording in recorded]
    REPORT.extend(table(comparisons))
    return comparisons


def table(comparisons: list[Comparison]) -> list[str]:
    """Return the lines of a table by provider, and what cannot be equal."""
    columns = ("equal", "without usage", "wrong", "told", "not told", "misnamed")
    head = ("provider of the recording", "exchanges", *columns[:3], "provider told", *columns[4:])
    counts: dict[str, Counter[str]] = {}
    for comparison in comparisons:
        for name in (comparison.recording.provider, "all"):
            row = counts.setdefault(name, Counter())
            row.update(("exchanges", comparison.verdict, comparison.provider))
    rows = [[name, *(str(row[column]) for column in ("exchanges", *columns))] for name, row in sorted(counts.items())]
    widths = [max(len(row[at]) for row in [list(head), *rows]) for at in range(len(head))]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in [list(head), *rows]
    ]
    wrong = [f"{c.recording.id} {'; '.join(c.differences())}" for c in comparisons if c.verdict == "wrong"]
    return ["Recorded exchanges, as read and as the SDKs say", *lines, *wrong]


def test_what_is_read_is_what_the_sdk_says(compared: list[Comparison]) -> None:
    missed = {comparison.recording.id: comparison.differences() for comparison in compared if comparison.differences()}

    assert len(compared) > 2_000
    assert {id_: lines for id_, lines in missed.items() if id_ not in MISSES} == {}
    assert missed.keys() == MISSES.keys(), "what became equal is no miss any more"
    assert len(missed) <= len(compared) * 0.01


def test_a_provider_is_told_rightly_or_not_at_all(compared: list[Comparison]) -> None:
    misnamed = {(c.recording.provider, c.of_json.get("provider")) for c in compared if c.provider == "misnamed"}
    told = [comparison for comparison in compared if comparison.provider == "told"]

    assert misnamed == MISNAMED.keys()
    assert len(told) > len(compared) * 0.85


def test_every_error_is_told_with_its_text(compared: list[Comparison]) -> None:
    errors = [comparison for comparison in compared if comparison.recording.status >= 400]

    assert len(errors) > 50
    for comparison in errors:
        assert comparison.reply.facts["error_message"], comparison.recording.id
        assert comparison.of_objects["status"] == comparison.of_json["status"] == "error"
        assert comparison.of_objects["extras"]["status_code"] == comparison.recording.status


def test_every_answer_that_is_over_is_a_success(compared: list[Comparison]) -> None:
    answers = [comparison for comparison in compared if comparison.recording.status < 400]
    others = [c for c in answers if c.of_json.get("status") != "success" and c.recording.id not in MISSES]

    assert all(c.recording.streamed and "finish_reason" not in c.reply.facts for c in others)
    assert len(others) < 5, "three streams were recorded that never say that they are over"


def test_nothing_that_came_is_left_out_unread(compared: list[Comparison]) -> None:
    for comparison in compared:
        for fields in (comparison.of_objects, comparison.of_json):
            assert not fields.get("extras", {}).keys() & {"fault", "chunks"}, comparison.recording.id


def test_each_field_fits_its_column_and_the_text_is_readable(compared: list[Comparison]) -> None:
    builder = RecordBuilder(Defaults())
    for comparison in compared:
        snapshot = take_snapshot(logging.makeLogRecord({"llm": comparison.of_json, "msg": "called"}))
        assert snapshot is not None
        record = builder.build(snapshot)
        assert json.loads(record.extras)["sqllog"].keys() <= {
            "message",
            "logger",
            "level",
            "model_source",
            "cost_source",
        }, comparison.recording.id
        assert record.input_tokens == comparison.of_json.get("input_tokens")
        if text := facts_of(comparison.of_json).get("text"):
            assert (record.messages[-1].content or "").replace("\n", "") == text.replace("\n", "")


@pytest.mark.parametrize("call", ["anthropic.messages", "openai.responses", "openai.chat"])
def test_the_sdks_own_stream_helpers_give_the_same(recorded: list[Recording], sdks: Sdks, call: str) -> None:
    """A helper's events hold each chunk once more and all that came before; none of it may count twice."""
    streams = [recording for recording in recorded if recording.streamed and recording.call == call]
    helped = [(recording, reply) for recording in streams if (reply := sdks.ask_helper(recording)) is not None]
    differing: dict[str, list[str]] = {}
    for recording, (events, final) in helped:
        plain = facts_of(read_stream(recording.chunks()))
        # The openai SDK's final chat repeats what comes in each chunk ("assistantassistant"): no witness.
        others = [read_stream(events)] if call == "openai.chat" else [read_stream(events), read_response(final)]
        lines = [line for other in others for line in _differences(facts_of(other), plain)]
        differing |= {recording.id: lines} if lines else {}

    assert len(helped) > 50
    assert {recording_id for recording_id in differing if recording_id not in HELPER_MISSES} == set(), differing


def test_a_raw_response_of_an_sdk_is_an_answer_and_tells_no_key(recorded: list[Recording], sdks: Sdks) -> None:
    chosen = {recording.call: recording for recording in recorded if not recording.streamed and recording.status == 200}

    for call in ("openai.chat", "openai.responses", "anthropic.messages"):
        fields = read_response(sdks.ask_raw(chosen[call]))
        assert fields == read_response(chosen[call].json)
        assert API_KEY not in str(fields)
