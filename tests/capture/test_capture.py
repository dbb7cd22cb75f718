"""A log record becomes a call record: fields, defaults, faults, and the freeze at the call."""

import dataclasses
import json
import logging
import sys
from collections import OrderedDict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest

from aicore_sqllog.capture.build import Defaults, RecordBuilder
from aicore_sqllog.capture.snapshot import take_snapshot
from aicore_sqllog.values import ids
from tests.support.records import capture, log_record, own

BUILDER = RecordBuilder(Defaults(workspace="home"))


@pytest.mark.parametrize(
    ("extra", "is_llm"),
    [
        ({}, False),
        ({"model": "m"}, False),
        ({"provider": "p"}, False),
        ({"request_id": 1, "user": 2}, False),
        ({"llm": {}}, True),
        ({"llm": None}, True),
        ({"operation_type": None}, True),
        ({"input_tokens": None}, True),
        ({"output_tokens": 1}, True),
        ({"provider": None, "model": None}, True),
        ({"messages": [], "response": ""}, True),
    ],
)
def test_a_record_is_about_a_call_by_its_keys(extra: dict[str, Any], is_llm: bool) -> None:
    assert (take_snapshot(log_record(extra)) is not None) is is_llm


@pytest.mark.parametrize(
    ("field", "raw", "stored", "kept"),
    [
        ("input_tokens", 7, 7, False),
        ("input_tokens", 0, 0, False),
        ("input_tokens", "many", None, True),
        ("input_tokens", "12", 12, True),
        ("input_tokens", True, None, True),
        ("input_tokens", -1, None, True),
        ("input_tokens", 2**31 - 1, 2**31 - 1, False),
        ("input_tokens", 2**31, None, True),
        ("input_tokens", 2**70, None, True),
        ("output_tokens", float("nan"), None, True),
        ("latency_ms", 12.6, 13, False),
        ("latency_ms", float("inf"), None, True),
        ("cost", 1, 1.0, False),
        ("cost", Decimal("0.25"), 0.25, False),
        ("cost", "0.5", 0.5, True),
        ("cost", "free", None, True),
        ("cost", float("nan"), None, True),
        ("model", "gpt-4 ", "gpt-4 ", False),
        ("model", 5, "5", True),
        ("model", "a\0b", "a\u2400b", False),
        ("model", "a\ud800b", "a\ufffdb", False),
        ("error_message", ["x"], "['x']", True),
        ("error_message", "x" * 300_000, "x" * 300_000, False),
    ],
)
def test_a_column_gets_what_fits_and_the_raw_value_is_kept(field: str, raw: Any, stored: Any, kept: bool) -> None:
    record = capture({"llm": {field: raw}})

    assert getattr(record, field) == stored
    assert (field in own(record).get("invalid", {})) is kept


def test_a_long_name_is_shortened_with_its_hash_and_kept_whole() -> None:
    one, other = capture({"llm": {"model": "m" * 300}}), capture({"llm": {"model": "m" * 301}})

    assert one.model is not None
    assert len(one.model) == 255
    assert one.model != other.model
    assert own(one)["invalid"]["model"] == "m" * 300


@pytest.mark.parametrize(
    ("extra", "options", "expected"),
    [
        ({}, {}, ("success", None, None)),
        ({"status": "queued"}, {"level": logging.ERROR}, ("queued", None, None)),
        ({"error_message": "boom"}, {}, ("error", "boom", None)),
        ({"error_type": "Quota"}, {}, ("error", "said", "Quota")),
        ({}, {"level": logging.ERROR}, ("error", "said", None)),
        ({"status": "error"}, {}, ("error", "said", None)),
    ],
)
def test_status_and_error(extra: dict[str, Any], options: dict[str, Any], expected: tuple[Any, ...]) -> None:
    record = capture({"llm": extra}, **options)

    assert (record.status, record.error_message, record.error_type) == expected


def test_an_exception_gives_type_text_and_traceback_and_leaves_the_record_alone() -> None:
    try:
        raise KeyError("missing")
    except KeyError:
        raw = log_record({"llm": {}}, exc=sys.exc_info())
    before = dict(raw.__dict__)
    snapshot = take_snapshot(raw)
    assert snapshot is not None
    record = BUILDER.build(snapshot)

    assert (record.status, record.error_type, record.error_message) == ("error", "KeyError", "'missing'")
    assert "KeyError: 'missing'" in own(record)["traceback"]
    assert raw.__dict__ == before


def test_extras_loose_attributes_and_a_key_of_ours() -> None:
    record = capture({"model": "m", "provider": "p", "request": 1, "extras": {"request": 2, "sqllog": "mine", "a": {}}})

    extras = json.loads(record.extras)
    noted = extras.pop("sqllog")
    assert extras == {"request": 2, "a": {}}
    assert noted == {
        "message": "said",
        "logger": "capture",
        "level": "INFO",
        "user": "mine",
        "shadowed": {"request": 1},
    }


def test_what_stands_under_llm_cannot_collide_and_wins() -> None:
    record = capture({"llm": {"model": "inner", "name": "x", "module": "y", "extras": {"k": 1}}, "model": "outer"})

    assert record.model == "inner"
    extras = json.loads(record.extras)
    assert (extras["name"], extras["module"], extras["k"]) == ("x", "y", 1)
    assert own(record)["shadowed"] == {"model": "outer"}


@pytest.mark.parametrize(
    ("raw", "instant"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 678901), datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)),
        (datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=5))), datetime(2026, 1, 1, 22, tzinfo=UTC)),
        ("2026-01-02T03:04:05+00:00", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_timestamps(raw: Any, instant: datetime) -> None:
    assert capture({"llm": {"timestamp": raw}}).timestamp == instant


@pytest.mark.parametrize("raw", ["yesterday", float("nan"), 1e300, True, object()])
def test_a_timestamp_that_is_none_gives_way_to_the_records(raw: Any) -> None:
    source = log_record({"llm": {"timestamp": raw}})
    snapshot = take_snapshot(source)
    assert snapshot is not None

    record = BUILDER.build(snapshot)

    assert record.timestamp.timestamp() == pytest.approx(source.created, abs=1e-6)
    assert "timestamp" in own(record)["invalid"]


def test_ids_are_taken_or_derived() -> None:
    given = "AAAAAAAA-0000-4000-8000-00000000000B"
    assert capture({"llm": {"session_id": given}}).session.session_id == given.lower()
    assert capture({"llm": {"operation_id": UUID(given)}}).operation_id == given.lower()
    named = capture({"llm": {"session_id": "chat-42", "operation_id": "op"}})
    assert named.session.session_key == "chat-42"
    assert named.session.session_id == ids.session_id("home", "chat-42")
    assert named.session.session_id != ids.session_id(None, "chat-42")
    assert named.caller_id == ids.operation_id("op")
    assert own(named)["operation_id"] == "op"
    assert UUID(named.minted_id).version == 7


def test_records_without_a_session_share_the_process_s() -> None:
    one, two = capture({"llm": {}}), capture({"llm": {}})

    assert one.session.session_id == two.session.session_id
    assert one.session.session_key is None


@pytest.mark.parametrize(
    ("messages", "response", "expected"),
    [
        ("hi", None, [("user", "hi", None)]),
        (None, "yo", [("assistant", "yo", None)]),
        (
            [{"role": "system", "content": "s"}, "u"],
            "",
            [("system", "s", None), ("user", "u", None), ("assistant", "", None)],
        ),
        ({"role": "user", "content": "x"}, None, [("user", "x", None)]),
        ([{"role": "assistant", "content": None}], None, [("assistant", None, {"content": None})]),
        ([{"role": "assistant"}], None, [("assistant", None, None)]),
        (
            [{"role": "tool", "content": "c", "tool_call_id": "t"}],
            {"role": "model", "content": "m"},
            [("tool", "c", {"tool_call_id": "t"}), ("model", "m", None)],
        ),
        (
            [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image"}, "b"]}],
            None,
            [("user", "a\nb", {"content": [{"type": "text", "text": "a"}, {"type": "image"}, "b"]})],
        ),
        ([5], {"answer": 3}, [(None, "5", {"content": 5}), ("assistant", None, {"answer": 3})]),
        ([{"role": 7, "content": "x"}], None, [("7", "x", {"role": 7})]),
    ],
)
def test_messages(messages: Any, response: Any, expected: list[Any]) -> None:
    record = capture({"llm": {"messages": messages, "response": response}})

    found = [(m.role, m.content, None if m.parts is None else json.loads(m.parts)) for m in record.messages]
    assert found == expected


def test_what_changes_after_the_call_is_not_seen() -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "before"}]}]
    extras: dict[str, Any] = {"deep": {"list": [1], "odd": {datetime(2026, 1, 1)}}}
    snapshot = take_snapshot(log_record({"model": "m", "messages": messages, "extras": extras}))
    messages[0]["content"][0]["text"] = "after"  # type: ignore[index]
    messages.append({"role": "user", "content": "later"})
    extras["deep"]["list"].append(2)
    assert snapshot is not None
    record = BUILDER.build(snapshot)

    assert [m.content for m in record.messages] == ["before"]
    assert json.loads(record.extras)["deep"] == {"list": [1], "odd": ["2026-01-01T00:00:00"]}


class Colour(Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    y: Any


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no")

    def __iter__(self) -> Iterator[int]:
        raise RuntimeError("no")


class Endless:
    def __iter__(self) -> Iterator[int]:
        while True:
            yield 1


def cycle() -> Any:
    ring: dict[str, Any] = {}
    ring["self"] = ring
    return ring


def deep() -> Any:
    value: Any = 1
    for _ in range(10_000):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        (2**70, str(2**70)),
        ("\ud83d", "\ufffd"),
        ("a\0", "a\u2400"),
        ("\\u0000", "\\u0000"),
        (b"bytes", "bytes"),
        (b"\xff", "base64:/w=="),
        ({3, 1, 2}, [1, 2, 3]),
        ({(1, 2): "t", 1: "a", "1": "b", None: 0}, {"(1, 2)": "t", "1": "a", "1 (2)": "b", "null": 0}),
        (Decimal("1.10"), "1.10"),
        (UUID(int=1), str(UUID(int=1))),
        (Colour.RED, "red"),
        (Point(1, Point(2, None)), {"x": 1, "y": {"x": 2, "y": None}}),
        (OrderedDict(a=1), {"a": 1}),
        (cycle(), {"self": "<within itself>"}),
        (Hostile(), "<Hostile: its repr raised RuntimeError>"),
    ],
)
def test_any_value_is_kept_as_json(value: Any, expected: Any) -> None:
    assert json.loads(capture({"llm": {"extras": {"v": value}}}).extras)["v"] == expected


@pytest.mark.parametrize("value", [deep(), Endless(), lambda: 0, [Hostile()] * 3, {"k": {Hostile(): Hostile()}}])
def test_nothing_makes_capture_raise(value: Any) -> None:
    for field in ("messages", "response", "extras", "model", "cost", "timestamp", "session_id", "operation_id", "any"):
        record = capture({"llm": {field: value}})
        assert json.loads(record.extras)["sqllog"]["message"] == "said"


def test_json_nests_no_deeper_than_mariadb_reads() -> None:
    def depth(value: Any) -> int:
        items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return 1 + max(map(depth, items), default=0) if isinstance(value, dict | list) else 0

    value: Any = "core"
    for _ in range(60):
        value = {"k": value}
    stored = json.loads(capture({"llm": {"extras": {"v": value}}}).extras)
    assert depth(stored) <= 32
    assert "core" in json.dumps(stored)


@pytest.mark.parametrize("kind", ["message", "exception", "messages", "copied"])
def test_the_size_of_a_snapshot_is_that_of_the_memory_it_takes(kind: str) -> None:
    """One emoji makes each character of a text four bytes."""
    text = "x" * 100_000 + "\U0001f600"
    record = logging.makeLogRecord({"msg": text if kind == "message" else "call", "model": "m", "provider": "p"})
    if kind == "exception":
        record.exc_info = (ValueError, ValueError(text), None)
    elif kind != "message":
        record.__dict__["messages"] = [text, Decimal(1)] if kind == "copied" else [text]
    snapshot = take_snapshot(record)
    assert snapshot is not None
    held = [snapshot.message, *(snapshot.failure or ())]
    held += [snapshot.values] if isinstance(snapshot.values, bytes) else [text for _ in [1]] if kind == "copied" else []
    assert sum(map(sys.getsizeof, held)) <= snapshot.size < 2 * sum(map(sys.getsizeof, held)) + 2_000
