"""An export holds every row once, goes on where it was stopped, and comes back as the same frames from any database."""

import logging
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from polars.testing import assert_frame_equal

from aicore_sqllog import LogReader, SQLLogHandler
from aicore_sqllog.errors import LogNotFoundError, TransferError
from aicore_sqllog.record.aliases import ALIASES, with_own_names
from aicore_sqllog.storage.connection import resolve
from aicore_sqllog.transfer.export import export_log
from aicore_sqllog.transfer.load import faults_of, import_export
from aicore_sqllog.transfer.manifest import Manifest
from tests.support.processes import wait_until
from tests.support.servers import execute

TEXTS = ["", " ", "NULL", 'a,"b"\r\n\\N\t', "é漢🙂", "\x00\ud800", "x" * 70_000, "null", "1e5", "canary"]
RENAMED_SINCE = {"gen_ai.usage.cache_write.input_tokens"}
"""Of today's conventions, which are younger than the package that the tests have."""


def log_calls(log: logging.Logger, count: int = 40) -> None:
    """Log calls with every kind of value."""
    for number in range(count):
        text = TEXTS[number % len(TEXTS)]
        tool_call = {"id": "t", "type": "function", "function": {"name": "f", "arguments": text}}
        fields: dict[str, Any] = {
            "session_id": f"chat-{number % 3}",
            "session_metadata": {"said": text, "n": number % 3},
            "operation_id": f"call-{number}" if number % 4 == 0 else None,
            "provider": "openai",
            "model": text[:200],
            "input_tokens": None if number % 5 == 0 else number,
            "cost": None if number % 3 == 0 else number / 7,
            "timestamp": f"2026-01-{1 + number % 28:02}T00:00:00.{number:06}+00:00",
            "error_message": f"failed: {text}" if number % 7 == 0 else None,
            "messages": [{"role": "user", "content": text}, {"role": "tool", "tool_call_id": "t", "content": text}],
            "response": {"role": "assistant", "content": None, "tool_calls": [tool_call]},
            "extras": {"text": text, "big": 2**60, "float": 1.0, "deep": [{"a": [None, True]}]},
        }
        log.info("said", extra={"llm": fields})


def everything(connection: str) -> list[pl.DataFrame]:
    """Return frames of all that is stored, documents as they are after decoding."""
    with LogReader(connection) as reader:
        calls = reader.operations(include_messages=True, order_by="operation_id")
    found = execute(connection, "select message_id, role from llm_messages")
    keys = pl.DataFrame([(str(key), role) for key, role in found], schema=["message_id", "role"], orient="row")
    messages = calls.select("operation_id", "messages").explode("messages").unnest("messages")
    return [_decoded(calls.drop("messages")), _decoded(messages), keys.sort("message_id")]


def _decoded(frame: pl.DataFrame) -> pl.DataFrame:
    def same(text: str | None) -> str | None:
        return None if text is None else orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS).decode()

    documents = [name for name in ("extras", "session_metadata", "parts") if name in frame.columns]
    return frame.with_columns(pl.Series(name, map(same, frame[name]), dtype=pl.String) for name in documents)


def assert_same(one: str, other: str) -> None:
    for first, second in zip(everything(one), everything(other), strict=True):
        assert first.height
        assert_frame_equal(first, second)


@pytest.fixture
def full(tmp_path: Path, log: logging.Logger) -> str:
    """A log in SQLite."""
    found = f"sqlite:///{tmp_path / 'full.db'}"
    log.addHandler(SQLLogHandler(found, flush_interval=3600))
    log_calls(log)
    flush(log)
    return found


def flush(log: logging.Logger) -> None:
    (handler,) = log.handlers
    assert isinstance(handler, SQLLogHandler)
    assert handler.flush(30)


@pytest.fixture
def copy(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'copy.db'}"


@pytest.mark.parametrize("file_format", ["parquet", "jsonl", "csv"])
def test_each_format_comes_back_as_the_same_rows(file_format: Any, full: str, copy: str, tmp_path: Path) -> None:
    manifest = export_log(resolve(full), tmp_path / "out", file_format=file_format, part_rows=7)
    assert manifest.rows == {"llm_operations": 40, "llm_messages": 120, "llm_sessions": 3}
    assert list(faults_of(tmp_path / "out")) == []
    done = import_export(resolve(copy), tmp_path / "out")
    assert done.imported == {"llm_sessions": 3, "llm_operations": 40, "llm_messages": 120}
    assert import_export(resolve(copy), tmp_path / "out").there_already == done.imported
    assert_same(full, copy)


@pytest.mark.backends("postgresql+psycopg2", "mysql+pymysql")
def test_a_log_goes_to_another_kind_of_database_and_back(full: str, copy: str, url: str, tmp_path: Path) -> None:
    export_log(resolve(full), tmp_path / "out")
    import_export(resolve(url), tmp_path / "out")
    assert_same(full, url)
    export_log(resolve(url), tmp_path / "again", file_format="csv", part_rows=9)
    import_export(resolve(copy), tmp_path / "again")
    assert_same(full, copy)


@pytest.mark.parametrize("file_format", ["parquet", "spans"])
def test_filters_choose_and_what_was_said_can_be_left_out(
    file_format: Any, full: str, copy: str, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    chosen: Any = {"session_id": ["chat-1"], "start_date": "2026-01-02", "max_tokens": 30}
    with LogReader(full) as reader:
        expected = reader.operations(**chosen)
    manifest = export_log(resolve(full), folder, file_format=file_format, filters=chosen, with_content=False)
    assert manifest.rows["llm_operations"] == expected.height > 0
    assert manifest.filters == chosen
    for path in folder.glob("*0001*"):
        assert not any(said in path.read_bytes() for said in (b"failed:", b'"deep"', b"tool_call"))
    if file_format == "spans":
        return
    calls, messages, sessions = (
        pl.read_parquet(folder / f"llm_{table}-00001.parquet") for table in ("operations", "messages", "sessions")
    )
    assert_frame_equal(calls.select("operation_id", "cost"), expected.select("operation_id", "cost"))
    assert sessions["session_key"].to_list() == ["chat-1"]
    assert [messages["role"].count(), messages["content"].count(), messages["parts"].count()] == [messages.height, 0, 0]
    import_export(resolve(copy), folder)
    assert execute(copy, "select count(*) from llm_operations") == [(expected.height,)]


def test_spans_have_todays_names_and_are_read_back_by_them(full: str, copy: str, tmp_path: Path) -> None:
    export_log(resolve(full), tmp_path / "out", file_format="spans", part_rows=15)
    lines = [
        line for path in sorted((tmp_path / "out").glob("spans-*.jsonl")) for line in path.read_bytes().splitlines()
    ]
    spans = [orjson.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"][0] for line in lines]
    with LogReader(full) as reader:
        calls = {call["operation_id"].replace("-", "")[16:]: call for call in reader.operations().to_dicts()}
    assert len(spans) == len(calls) == 40
    known = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI")} | RENAMED_SINCE
    for span in spans:
        call = calls[span["spanId"]]
        attributes = {item["key"]: next(iter(item["value"].values())) for item in span["attributes"]}
        assert {name for name in attributes if name.startswith("gen_ai.")} <= known & ALIASES.keys()
        own = with_own_names(attributes)
        assert (own["provider"], own["model"], own["session_id"]) == ("openai", call["model"], call["session_id"])
        assert attributes.get("gen_ai.usage.input_tokens") == (call["input_tokens"] and str(call["input_tokens"]))
        assert int(span["endTimeUnixNano"]) // 1000 == round(call["timestamp"].timestamp() * 1_000_000)
        assert own["response"][0]["parts"][0]["type"] == "tool_call"
        assert [message["role"] for message in own["messages"]] == ["user", "tool"]
    with pytest.raises(TransferError, match="spans"):
        import_export(resolve(copy), tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize(("kill", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_an_export_that_was_stopped_goes_on(
    kill: signal.Signals, code: int, full: str, copy: str, log: logging.Logger, tmp_path: Path
) -> None:
    log_calls(log, 260)
    flush(log)
    folder = tmp_path / "out"
    command = [sys.executable, "-m", "aicore_sqllog", "export", str(folder), "--connection", full, "--part-rows", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: len(list(folder.glob("llm_operations-*.parquet"))) > 5)
    process.send_signal(kill)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (code, b"", b"")
    begun = Manifest.read(folder)
    with pytest.raises(TransferError, match="not finished"):
        import_export(resolve(copy), folder)
    assert "not finished" in next(faults_of(folder))
    ended = export_log(resolve(full), folder)
    assert ended.rows == {"llm_operations": 300, "llm_messages": 900, "llm_sessions": 3}
    assert ended.files[: len(begun.files)] == begun.files
    assert list(faults_of(folder)) == []
    assert export_log(resolve(full), folder) == ended, "one that is finished stays as it is"
    import_export(resolve(copy), folder)
    assert_same(full, copy)


def test_what_is_written_meanwhile_costs_no_row(full: str, copy: str, log: logging.Logger, tmp_path: Path) -> None:
    with LogReader(full) as reader:
        before = set(reader.operations()["operation_id"])
    more = iter(range(10))

    def write_more(table: str, rows: int) -> None:
        if next(more, None) is not None:
            log_calls(log, 3)
            flush(log)

        with pytest.raises(TransferError, match="Another process exports"):
            export_log(resolve(full), tmp_path / "out")

    export_log(resolve(full), tmp_path / "out", part_rows=9, progress=write_more)
    found = pl.concat(map(pl.read_parquet, (tmp_path / "out").glob("llm_operations-*.parquet")))["operation_id"]
    assert before <= set(found)
    assert found.is_unique().all()
    import_export(resolve(copy), tmp_path / "out")


def test_large_rows_end_a_part_early(full: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aicore_sqllog.transfer.export._PART_BYTES", 100_000)
    monkeypatch.setattr("aicore_sqllog.transfer.export._FETCHED_ROWS", 5)
    manifest = export_log(resolve(full), tmp_path / "out")
    rows = [entry.rows for entry in manifest.files if entry.table == "llm_operations"]
    assert sum(rows) == 40
    assert max(rows) < 40


@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "manifest", "sums"])
def test_damage_is_found_and_nothing_of_it_imported(damage: str, full: str, copy: str, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    export_log(resolve(full), folder, file_format="jsonl")
    path, manifest = folder / "llm_operations-00001.jsonl", folder / "manifest.json"
    content = path.read_bytes()
    if damage == "flip":
        path.write_bytes(content.replace(b"openai", b"openaj", 1))
    elif damage == "cut":
        path.write_bytes(content[:-1])
    elif damage == "gone":
        path.unlink()
    elif damage == "manifest":
        manifest.write_bytes(b'{"version": 1, "files": [{}]}')
        with pytest.raises(TransferError, match=r"manifest\.json is damaged"):
            list(faults_of(folder))
    else:
        document = orjson.loads(manifest.read_bytes())
        next(entry for entry in document["files"] if entry["table"] == "llm_operations")["sums"]["cost"] += 1
        manifest.write_bytes(orjson.dumps(document))
    if damage != "manifest":
        assert [path.name in fault for fault in faults_of(folder)] == [True]
    with pytest.raises(TransferError):
        import_export(resolve(copy), folder)
    if damage != "manifest":
        assert execute(copy, "select count(*) from llm_operations") == [(0,)]


def test_a_folder_holds_one_export_and_where_there_is_no_log_none_is_made(full: str, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    export_log(resolve(full), folder, filters={"provider": "openai"})
    others: list[Any] = [{"filters": {"provider": "other"}}, {"with_content": False}, {"file_format": "csv"}]
    for other in others:
        with pytest.raises(TransferError, match="another export"):
            export_log(resolve(full), folder, **{"filters": {"provider": "openai"}, **other})
    with pytest.raises(LogNotFoundError):
        export_log(resolve(f"sqlite:///{tmp_path / 'none.db'}"), tmp_path / "none")
    assert not (tmp_path / "none").exists()
    modes = {path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert (modes, folder.stat().st_mode & 0o777) == ({0o600}, 0o700)


def test_a_session_that_was_deleted_meanwhile_costs_no_call(full: str, copy: str, tmp_path: Path) -> None:
    def delete(table: str, rows: int) -> None:
        execute(full, "delete from llm_sessions where session_key = 'chat-0'")

    manifest = export_log(resolve(full), tmp_path / "out", progress=delete)
    assert manifest.rows["llm_sessions"] == 2
    import_export(resolve(copy), tmp_path / "out")
    assert execute(copy, "select count(*) from llm_sessions") == [(3,)]
    assert execute(copy, "select count(*) from llm_operations") == [(40,)]
