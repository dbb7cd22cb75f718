"""Records made many at once are what they are when made one by one."""

import itertools
import logging
import math
import uuid
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest

from aicore_sqllog import llm_session
from aicore_sqllog.capture.build import Defaults, RecordBuilder
from aicore_sqllog.capture.privacy import Privacy
from aicore_sqllog.capture.snapshot import Snapshot, take_snapshot
from tests.support.records import log_record

TEXT = "The quick brown fox jumps over the lazy dog. " * 6
IMAGE = "data:image/png;base64," + "iVBORw0KGgo" * 20
MESSAGES = [{"role": role, "content": TEXT} for role in ("system", "user", "assistant")]
USUAL: dict[str, Any] = {
    "session_id": "chat-1",
    "workspace": "w",
    "agent_id": "a",
    "action_id": "x",
    "operation_type": "completion",
    "provider": "openai",
    "model": "gpt-4o",
    "input_tokens": 100,
    "output_tokens": 50,
    "latency_ms": 1200,
    "cost": 0.01,
    "status": "success",
    "extras": {"user_id": "7", "stream": True, "retries": 0, "tag": None},
    "messages": MESSAGES,
}

PLAIN: dict[str, list[Any]] = {
    "session_id": [None, "chat-2", str(uuid.uuid4()).upper(), uuid.uuid4(), "ä " * 100],
    "workspace": [None, "other"],
    "operation_type": [None, "embedding"],
    "model": ["m " * 127, "模型"],
    "input_tokens": [None, 0, 2**31 - 1, 12.5, -0.0],
    "latency_ms": [1200.4, 0.5, 1.5],
    "cost": [None, -1.5, 0.0],
    "status": [None, "cancelled"],
    "error_message": [None],
    "timestamp": [None, datetime(2026, 1, 2, 3, 4, 5, 6), datetime.now(timezone(timedelta(hours=5)))],
    "operation_id": [None, str(uuid.uuid4()), str(uuid.uuid4()).upper()],
    "parent_operation_id": [None, str(uuid.uuid4())],
    "capture_content": [None, True],
    "response": [None, "Hello", "", "NUL \0 and \ud800"],
    "messages": [
        None,
        [],
        "hello",
        "",
        [{"role": "user", "content": "NUL \0 and \ud800"}],
        [{"content": "no role"}],
        [{"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"name": "f"}}]}],
        [{"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]}],
        ["a text", None, 7, {"role": "", "content": ""}],
    ],
    "extras": [None, {}, {"a": {"b": [1, 2.5, None]}}, {"long": TEXT}, {"big": 2**70}, {"nul \0": "\ud800"}],
    "project": ["a loose name", {"in": "side"}, 1.5],
    "a.dotted.name": ["b"],
}
ODD: dict[str, list[Any]] = {
    "session_id": ["", 7, "s" * 256, "NUL \0"],
    "workspace": ["", "w" * 256, 7],
    "operation_type": ["", True],
    "model": [None, "", "NUL \0", "m" * 256, IMAGE, 7],
    "response_model": ["", 7],
    "input_tokens": ["many", "12", True, -1, 2**31, math.nan, math.inf],
    "latency_ms": [-0.4, "fast"],
    "cost": [1, "0.5", math.nan, math.inf, True],
    "status": ["", "error", 7],
    "error_message": ["", "it failed"],
    "error_type": ["", "Timeout"],
    "timestamp": [
        0.0,
        date(2026, 1, 2),
        "2026-01-02T03:04:05+05:00",
        "soon",
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))),
    ],
    "operation_id": ["mine", "", uuid.uuid4(), 7],
    "parent_operation_id": ["mine", "", 7],
    "capture_content": [False, "no", "yes", 0, "?"],
    "response": [7, {"role": "assistant", "content": "Hello"}, ["a"], '{"a": 1}', " [1]", IMAGE, {}, []],
    "messages": [
        7,
        {"role": "user", "content": "one"},
        ({"role": "user", "content": "a tuple"},),
        [{"role": "user", "content": IMAGE}],
        [{"role": "user", "content": [{"type": "image", "data": "AAAA"}]}],
        [{"role": "user", 1: "not a text"}],
        [{"role": "user" * 100, "content": "long role"}],
        [{"role": "user", "content": b"bytes"}],
    ],
    "extras": ["text", {"sqllog": {"a": 1}}, {"capture_content": False}, {"data": "AAAA"}, {1: 2}, {"nan": math.nan}],
    "completion_args": [None, {"model": "other", "messages": ["hi"]}],
    "session_metadata": [None, {"a": 1}],
    "gen_ai.usage.input_tokens": [7],
    "llm": [None, {"model": "inner"}],
    "data": ["AAAA"],
    "sqllog": [{"a": 1}],
    "sqllog_notes": [{"run_id": str(uuid.uuid4())}, 7],
    "sqllog_notes.run_id": ["x"],
}


def _snapshot(extra: dict[str, Any], **options: Any) -> Snapshot:
    snapshot = take_snapshot(log_record(extra, **options))
    assert snapshot is not None
    return snapshot


def _variants(values: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [{**USUAL, name: value} for name, each in values.items() for value in each]


def _cases(values: dict[str, list[Any]]) -> list[Any]:
    pairs = [(name, value) for name, each in values.items() for value in each]
    return [pytest.param({**USUAL, name: value}, id=f"{name} {str(type(value))[8:-2]}") for name, value in pairs]


def _assert_same(builder: RecordBuilder, snapshots: list[Snapshot]) -> None:
    one_by_one = list(map(builder.build, snapshots))
    many = builder.build_all(snapshots)
    assert list(map(repr, many)) == list(map(repr, one_by_one))  # 1 is no 1.0


@pytest.mark.parametrize("in_group", [False, True], ids=["loose", "in a group"])
@pytest.mark.parametrize("variant", _cases(PLAIN) + _cases(ODD))
def test_a_record_is_the_same_among_others(variant: dict[str, Any], in_group: bool) -> None:
    wrapped = {"llm": variant} if in_group else variant
    usual = {"llm": USUAL} if in_group else USUAL
    snapshots = [_snapshot(extra) for extra in (usual, wrapped, usual, wrapped)]

    _assert_same(RecordBuilder(Defaults()), snapshots)
    _assert_same(RecordBuilder(Defaults(session_id="s", workspace="d", agent_id="", user_id="u" * 256)), snapshots)
    with llm_session("around", workspace="v", user_id="me"):
        _assert_same(RecordBuilder(Defaults("s", "d", "e", "f")), [_snapshot(extra) for extra in (wrapped, usual)])


@pytest.mark.parametrize("variant", _cases(PLAIN))
def test_what_needs_no_change_is_plain(variant: dict[str, Any]) -> None:
    builder = RecordBuilder(Defaults())

    assert builder.build_plain([_snapshot(variant), _snapshot({"llm": variant})]).count(None) == 0


def test_those_that_are_not_plain_cost_the_others_nothing() -> None:
    builder = RecordBuilder(Defaults())
    odd = [_snapshot(variant) for variant in _variants(ODD)]
    usual = [_snapshot(USUAL) for _ in odd]
    mixed = list(itertools.chain.from_iterable(zip(odd, usual, strict=True)))

    assert builder.build_plain(mixed)[1::2].count(None) == 0
    _assert_same(builder, mixed)


@pytest.mark.parametrize(
    "options", [{"level": logging.ERROR}, {"msg": IMAGE}, {"exc": (ValueError, ValueError("x"), None)}]
)
def test_what_the_log_call_itself_says_is_the_same(options: dict[str, Any]) -> None:
    _assert_same(RecordBuilder(Defaults()), [_snapshot(USUAL), _snapshot(USUAL, **options), _snapshot(USUAL)])


@pytest.mark.parametrize("privacy", [Privacy(captures_content=False), Privacy(redactors=[lambda text: "[removed]"])])
def test_no_record_passes_by_the_rules_of_privacy(privacy: Privacy) -> None:
    builder = RecordBuilder(Defaults(), privacy)
    snapshots = [_snapshot(USUAL), _snapshot(USUAL)]

    assert builder.build_plain(snapshots) == [None, None]
    _assert_same(builder, snapshots)
    with llm_session(capture_content=False):
        inside = _snapshot(USUAL)
    assert RecordBuilder(Defaults()).build_plain([inside, _snapshot(USUAL)])[0] is None


def test_names_that_are_made_up_for_ever_do_not_fill_the_memory() -> None:
    from aicore_sqllog.capture.plain_columns import _SHAPES

    builder = RecordBuilder(Defaults())
    builder.build_all([_snapshot({**USUAL, f"name_{number}": 1}) for number in range(2_500)])

    assert len(_SHAPES) <= 1_000
