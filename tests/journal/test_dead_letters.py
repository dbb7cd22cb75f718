"""Dead letters are read back: those that are written now, and those of the first version."""

import json
from pathlib import Path

import pytest

from aicore_sqllog.journal.dead_letters import DeadLetters, read_dead_letters
from aicore_sqllog.record.codec import UnreadableRecordError
from tests.support.records import records

FIRST_VERSION = {
    "version": 1,
    "at": "2026-01-02T03:04:06.000001+00:00",
    "destination": "sqlite:////tmp/llm.db",
    "reason": "IntegrityError: refused",
    "record": {
        "minted_id": "00000000-0000-7000-8000-000000000001",
        "caller_id": None,
        "session": {
            "session_id": "00000000-0000-7000-8000-000000000002",
            "session_key": "chat",
            "workspace": None,
            "agent_id": None,
            "created_at": "2026-01-02T03:04:05.678901+00:00",
            "metadata": None,
        },
        "action_id": None,
        "timestamp": "2026-01-02T03:04:05.678901+00:00",
        "operation_type": "completion",
        "provider": "bad",
        "model": "m",
        "input_tokens": 7,
        "output_tokens": None,
        "latency_ms": None,
        "cost": 0.25,
        "status": "success",
        "error_message": None,
        "extras": '{"sqllog":{"message":"call"}}',
        "workspace": None,
        "agent_id": None,
        "user_id": None,
        "parent_operation_id": None,
        "response_model": None,
        "finish_reason": None,
        "error_type": None,
        "cache_read_tokens": None,
        "cache_write_tokens": None,
        "reasoning_tokens": None,
        "time_to_first_token_ms": None,
        "messages": [{"role": "assistant", "content": "text", "parts": None}],
    },
}
"""A line as the first version wrote it: with what is NULL."""


def test_what_is_kept_is_read_back_with_the_reason(tmp_path: Path) -> None:
    letters, kept = DeadLetters("sqlite:///x", tmp_path), records(3, session_metadata={"é": 1}, operation_id="mine")
    assert letters.add(kept[:2], "refused") == 2
    assert letters.add(kept[2:], "too large") == 1
    (path,) = tmp_path.iterdir()
    found = list(read_dead_letters(path))
    assert [letter.record for letter in found] == kept
    assert [letter.reason for letter in found] == ["refused", "refused", "too large"]
    assert {letter.destination for letter in found} == {"sqlite:///x"}
    assert found[0].at <= found[2].at


def test_those_of_the_first_version_are_read(tmp_path: Path) -> None:
    path = tmp_path / "old.jsonl"
    path.write_text(json.dumps(FIRST_VERSION) + "\n")
    (letter,) = read_dead_letters(path)
    assert (letter.record.input_tokens, letter.record.cost, letter.record.caller_id) == (7, 0.25, None)
    assert letter.record.session.session_key == "chat"
    assert letter.record.messages == (("assistant", "text", None),)
    assert letter.record.extras == '{"sqllog":{"message":"call"}}', "nothing of it is unread"


@pytest.mark.parametrize("line", ['{"version": 9, "record": {}}', "{}", "[]", '{"version": 1', '{"version": 1}'])
def test_a_line_that_cannot_be_read_is_told_by_its_number(line: str, tmp_path: Path) -> None:
    path = tmp_path / "damaged.jsonl"
    path.write_text(json.dumps(FIRST_VERSION) + "\n" + line + "\n")
    found = read_dead_letters(path)
    next(found)
    with pytest.raises(UnreadableRecordError, match=r"line 2 of .*damaged\.jsonl"):
        next(found)
