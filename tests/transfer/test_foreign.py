"""The logs of llm and LiteLLM become calls like others, each once, however often they are imported."""

import csv
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from aicore_sqllog import LogReader
from aicore_sqllog.errors import TransferError
from aicore_sqllog.storage.connection import resolve
from aicore_sqllog.transfer.foreign import import_foreign

LLM = """
CREATE TABLE _llm_migrations (name TEXT PRIMARY KEY, applied_at TEXT);
CREATE TABLE responses (id TEXT PRIMARY KEY, model TEXT, prompt TEXT, system TEXT, prompt_json TEXT, options_json TEXT,
    response TEXT, response_json TEXT, conversation_id TEXT, duration_ms INTEGER, datetime_utc TEXT,
    input_tokens INTEGER, output_tokens INTEGER, token_details TEXT, resolved_model TEXT, reasoning TEXT);
CREATE TABLE attachments (id TEXT PRIMARY KEY, type TEXT, path TEXT, url TEXT, content BLOB);
CREATE TABLE prompt_attachments (response_id TEXT, attachment_id TEXT, "order" INTEGER);
CREATE TABLE fragments (id INTEGER PRIMARY KEY, hash TEXT, content TEXT);
CREATE TABLE prompt_fragments (response_id TEXT, fragment_id INTEGER, "order" INTEGER);
CREATE TABLE tool_calls (id INTEGER PRIMARY KEY, response_id TEXT, name TEXT, arguments TEXT, tool_call_id TEXT);
CREATE TABLE messages (hash TEXT PRIMARY KEY, parent_hash TEXT, role TEXT, provider_metadata TEXT);
CREATE TABLE parts (id INTEGER PRIMARY KEY, message_hash TEXT, position INTEGER, type TEXT, tool_name TEXT, text TEXT,
    payload TEXT);
CREATE TABLE turns (id TEXT PRIMARY KEY, thread_id TEXT, parent_message_hash TEXT, tip_message_hash TEXT, model TEXT,
    resolved_model TEXT, options_json TEXT, input_tokens INTEGER, output_tokens INTEGER, token_details TEXT,
    duration_ms INTEGER, datetime_utc TEXT);
INSERT INTO fragments VALUES (1, 'h', 'A novel.');
INSERT INTO attachments VALUES ('aa', 'image/png', '/home/ann/a.png', NULL, x'00');
INSERT INTO responses VALUES ('01a', 'gpt-4o', 'And this?', 'Be brief.', NULL, '{"temperature": 1}', 'A cat.', NULL,
    'c1', 250, '2024-05-06T07:08:09.123456', 5, 2, '{"cached": 3}', 'gpt-4o-2024', NULL);
INSERT INTO prompt_attachments VALUES ('01a', 'aa', 0);
INSERT INTO prompt_fragments VALUES ('01a', 1, 0);
INSERT INTO tool_calls VALUES (1, '01a', 'look', '{"at": 1}', 't1');
INSERT INTO responses VALUES ('01b', 'm', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2024-05-06T08:00:00', NULL,
    NULL, NULL, NULL, NULL);
INSERT INTO messages VALUES ('m1', NULL, 'user', NULL), ('m2', 'm1', 'assistant', NULL), ('m3', 'm2', 'user', NULL),
    ('m4', 'm3', 'assistant', NULL);
INSERT INTO parts VALUES (1, 'm1', 0, 'text', NULL, NULL, '{"text_ref": [{"fragment": 1}, {"literal": " Who?"}]}'),
    (2, 'm2', 0, 'text', NULL, 'Ahab.', NULL), (3, 'm3', 0, 'text', NULL, 'Sure?', NULL),
    (4, 'm4', 0, 'tool_call', 'look', NULL, '{"name": "look", "arguments": {}}');
INSERT INTO turns VALUES ('02a', 't1', 'm1', 'm2', 'demo', NULL, NULL, 7, 3, NULL, 10, '2026-01-02T03:04:05+00:00'),
    ('02b', 't1', 'm3', 'm4', 'demo', NULL, NULL, 9, 3, NULL, 10, '2026-01-02T03:05:05+00:00');
"""

SPEND: dict[str, Any] = {
    "request_id": "chatcmpl-1",
    "call_type": "acompletion",
    "api_key": "88dc28d0f030c55ed4ab77ed8faf098196cb1c05",
    "spend": 0.0125,
    "total_tokens": 10,
    "prompt_tokens": 7,
    "completion_tokens": 3,
    "startTime": "2025-01-02 03:04:05.123",
    "endTime": "2025-01-02T03:04:06.123Z",
    "completionStartTime": "2025-01-02 03:04:05.623",
    "model": "gpt-4o",
    "custom_llm_provider": "openai",
    "user": "ann",
    "team_id": "research",
    "metadata": {"usage_object": {"prompt_tokens_details": {"cached_tokens": 4}}},
    "messages": [{"role": "user", "content": "hi"}],
    "response": {"choices": [{"message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}]},
    "session_id": "s-1",
    "status": "success",
    "request_tags": ["a", "b"],
}
FAILED = {
    **SPEND,
    "request_id": "chatcmpl-2",
    "spend": 0.0,
    "total_tokens": 0,
    "prompt_tokens": 0,
    "completion_tokens": 0,
    "endTime": "2025-01-02 03:04:07.000",
    "completionStartTime": "2025-01-02 03:04:07.000",
    "metadata": {"error_information": {"error_class": "RateLimitError", "error_message": "too many"}},
    "response": {},
    "status": "failure",
}


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'llm.db'}"


def imported(store: str, path: Path) -> list[dict[str, Any]]:
    """Import the file twice, and return what is stored, oldest first."""
    first = import_foreign(resolve(store), path)
    second = import_foreign(resolve(store), path)
    assert second.there_already == first.imported
    assert set(second.imported.values()) == {0}
    with LogReader(store) as reader:
        return reader.operations(include_messages=True).to_dicts()


def said(call: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(message["role"], message["content"]) for message in call["messages"]]


def test_the_log_of_llm(store: str, tmp_path: Path) -> None:
    path = tmp_path / "logs.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(LLM)
    before = path.read_bytes()
    old, empty, first, second = imported(store, path)
    assert path.read_bytes() == before
    assert (old["session_key"], old["model"], old["response_model"]) == ("c1", "gpt-4o", "gpt-4o-2024")
    assert (old["input_tokens"], old["output_tokens"], old["latency_ms"]) == (5, 2, 250)
    assert old["timestamp"].isoformat() == "2024-05-06T07:08:09.373456+00:00"
    assert json.loads(old["extras"])["llm"] == {"options": {"temperature": 1}, "token_details": {"cached": 3}}
    assert said(old) == [("system", "Be brief."), ("user", "A novel.\nAnd this?"), ("assistant", "A cat.")]
    assert "/home/ann/a.png" in old["messages"][1]["parts"]
    assert json.loads(old["messages"][2]["parts"])["tool_calls"][0]["function"]["name"] == "look"
    assert (empty["input_tokens"], empty["latency_ms"], empty["session_key"]) == (None, None, "01b")
    assert said(first) == [("user", "A novel. Who?"), ("assistant", "Ahab.")]
    assert said(second)[:-1] == [*said(first), ("user", "Sure?")]
    assert "look" in second["messages"][-1]["parts"]
    assert first["session_id"] == second["session_id"]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    if path.suffix == ".json":
        path.write_text(json.dumps(rows, indent=1))
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "\n")
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(SPEND))
            writer.writeheader()
            for row in rows:
                writer.writerow({n: json.dumps(v) if isinstance(v, dict | list) else v for n, v in row.items()})


@pytest.mark.parametrize("name", ["spend.json", "spend.jsonl", "spend.csv"])
def test_spend_logs_of_litellm(name: str, store: str, tmp_path: Path) -> None:
    write_rows(tmp_path / name, [SPEND, FAILED])
    done, failed = imported(store, tmp_path / name)
    assert (done["operation_type"], done["provider"], done["model"], done["status"]) == (
        "completion", "openai", "gpt-4o", "success",
    )  # fmt: skip
    assert [done[n] for n in ("input_tokens", "output_tokens", "cache_read_tokens", "cost")] == [7, 3, 4, 0.0125]
    assert [done[n] for n in ("latency_ms", "time_to_first_token_ms")] == [1000, 500]
    assert [done[n] for n in ("session_key", "user_id", "workspace")] == ["s-1", "ann", "research"]
    assert done["timestamp"].isoformat() == "2025-01-02T03:04:06.123000+00:00"
    assert said(done) == [("user", "hi"), ("assistant", "hello")]
    assert json.loads(done["extras"])["litellm"]["request_tags"] == ["a", "b"]
    assert SPEND["api_key"] not in str(done), "a hash of a key is no business of the log"
    assert [failed[n] for n in ("status", "error_type", "error_message")] == ["error", "RateLimitError", "too many"]
    assert [failed[n] for n in ("input_tokens", "output_tokens", "cost", "time_to_first_token_ms")] == [None] * 4


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("hello", "no log that is known", id="text"),
        pytest.param("", "no log that is known", id="empty"),
        pytest.param('{"a": 1}\n', "no log that is known", id="other JSON"),
        pytest.param(json.dumps(SPEND) + "\n{", "line 2 of .* is no JSON", id="cut"),
        pytest.param(json.dumps(SPEND) + "\n[1]", "row 2 of .* is no object", id="no object"),
        pytest.param(json.dumps(SPEND) + '\n{"model": "m"}', "row 2 of .* has no request_id", id="no id"),
    ],
)
def test_what_is_no_log_or_is_damaged_is_told(text: str, told: str, store: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(text)
    with pytest.raises(TransferError, match=told):
        import_foreign(resolve(store), tmp_path / "file")


def test_a_file_that_is_missing_or_of_another_program_is_told(store: str, tmp_path: Path) -> None:
    with pytest.raises(TransferError, match="cannot be read"):
        import_foreign(resolve(store), tmp_path / "none")
    with closing(sqlite3.connect(tmp_path / "other.db")) as database:
        database.executescript("CREATE TABLE responses (id TEXT)")
    with pytest.raises(TransferError, match="no log that is known"):
        import_foreign(resolve(store), tmp_path / "other.db")
