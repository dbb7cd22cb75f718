"""The examples run, and the replay tells what a direct pass over the file tells."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from aicore_sqllog import LogReader
from tests.conftest import ROOT
from tests.support.processes import run_python
from tests.support.recordings import Recording, served
from tests.support.shapes import CHAT
from tests.support.traffic import documents

EXAMPLES = ROOT / "examples"


class Turns(dict[str, Recording]):
    """Answers in their order, whatever is asked."""

    def __init__(self, answers: list[Recording]) -> None:
        super().__init__()
        self._left = iter(answers)

    def __missing__(self, name: str) -> Recording:
        return next(self._left)


def replay(path: Path, database: Path) -> dict[str, Any]:
    """Replay *path* into *database*; return the totals that it printed."""
    done = run_python(EXAMPLES / "replay.py", path, "--connection", f"sqlite:///{database}", cwd=database.parent)
    assert done.returncode == 0, done.stderr
    assert "passed over" not in done.stderr
    totals: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return totals


def test_quickstart(tmp_path: Path) -> None:
    done = run_python(EXAMPLES / "quickstart.py", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "chat-1  assistant: Paris." in done.stdout
    assert "3 calls, 55 tokens in" in done.stdout
    assert LogReader(f"sqlite:///{tmp_path / 'quickstart.db'}").count(status="error") == 1


def test_analysis(tmp_path: Path) -> None:
    assert run_python(EXAMPLES / "quickstart.py", cwd=tmp_path).returncode == 0
    database = f"sqlite:///{tmp_path / 'quickstart.db'}"
    done = run_python(EXAMPLES / "analysis.py", database, "--page", "page.html", cwd=tmp_path)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "page.html is written\n")
    page = (tmp_path / "page.html").read_text("utf-8")
    with LogReader(database) as log:
        for model in log.values("model"):
            assert f'"model": "{model}"' in page
    assert '"title": "Cost per day"' in page
    assert '"of": "95 %"' in page


def test_async_app(tmp_path: Path) -> None:
    done = run_python(EXAMPLES / "async_app.py", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "stored: True" in done.stdout
    assert LogReader(f"sqlite:///{tmp_path / 'async_app.db'}").count(workspace="async-app") == 30


def test_contexts(tmp_path: Path) -> None:
    done = run_python(EXAMPLES / "contexts.py", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "chat-ann  completion in agent  success  ann" in done.stdout
    with LogReader(f"sqlite:///{tmp_path / 'contexts.db'}") as reader:
        failed = reader.operations(status="error")
        assert failed["error_type"].to_list() == ["LookupError", "LookupError"]
        assert failed["session_key"].unique().to_list() == ["chat-cid"]
        assert reader.count(status="success", workspace="contexts") == 6


def test_privacy(tmp_path: Path) -> None:
    done = run_python(EXAMPLES / "privacy.py", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "user: I am [email], [phone]; [ticket]: my card [card] was refused." in done.stdout
    raw = b"".join(file.read_bytes() for file in tmp_path.glob("privacy.db*"))
    for secret in (b"jane@", b"1234567", b"TICKET-", b"4111", b"sk-test", b"hurt", b"rather not"):
        assert secret not in raw


@pytest.mark.slow
def test_the_benchmark_of_capture_runs(tmp_path: Path) -> None:
    done = run_python(EXAMPLES.parent / "benchmarks" / "capture.py", "1", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count(" us") > 20


def test_instrumented(tmp_path: Path) -> None:
    good = Recording("good", "openai", "openai.chat", False, 200, "application/json", json.dumps(CHAT).encode())
    bad = {"error": {"message": "no such model", "type": "invalid_request_error"}}
    with served(Turns([good, replace(good, status=404, body=json.dumps(bad).encode())])) as url:
        done = run_python(
            EXAMPLES / "instrumented.py", cwd=tmp_path, OPENAI_BASE_URL=url, OPENAI_API_KEY="k", NO_PROXY="*"
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "failed: NotFoundError",
        "gpt-4o-mini success 9 1 None",
        "gpt-none error None None invalid_request_error",
    ]


def test_replay_of_our_own_samples(path: Path) -> None:
    totals = replay(EXAMPLES / "sample_aider.jsonl", path)
    lines = list(documents(EXAMPLES / "sample_aider.jsonl"))
    assert totals["calls"] == sum(line["event"].startswith("message_send") for line in lines) > 3
    sessions = list(documents(EXAMPLES / "sample_sessions.jsonl"))
    assert replay(EXAMPLES / "sample_sessions.jsonl", path.with_name("sessions.db"))["sessions"] == len(sessions) > 1


@pytest.mark.slow
def test_replay_of_real_usage_events_equals_a_direct_pass(data: Path, path: Path) -> None:
    source = data / "aider_analytics" / "events.jsonl.gz"
    totals = replay(source, path)
    frame = pl.read_ndjson(gzip.decompress(source.read_bytes()), infer_schema_length=None).unnest("properties")
    frame = frame.filter(pl.col("event").is_in(["message_send", "message_send_exception"]))
    calls = frame.filter(pl.col("event") == "message_send")
    errors = frame.filter(pl.col("event") == "message_send_exception")

    assert totals["calls"] == len(frame)
    assert totals["cost"] == pytest.approx(calls["cost"].sum(), rel=1e-12)
    assert totals["largest_input_tokens"] == calls["prompt_tokens"].max()
    assert totals["errors"] == len(errors)
    assert totals["longest_error"] == errors["exception"].str.len_chars().max()
    with LogReader(f"sqlite:///{path}") as reader:
        stored = reader.operations(status="success")
    direct = calls.group_by(pl.col("main_model").alias("model")).agg(
        pl.len(), pl.col("prompt_tokens").sum(), pl.col("cost").sum().round(9)
    )
    ours = stored.group_by("model").agg(
        pl.len(), pl.col("input_tokens").sum().alias("prompt_tokens"), pl.col("cost").sum().round(9)
    )
    assert len(ours) > 50
    assert ours.sort("model").equals(direct.sort("model"))


@pytest.mark.slow
def test_replay_of_agent_sessions_returns_every_message_as_it_was(data: Path, path: Path) -> None:
    source = data / "tau_bench" / "gpt-4o-airline.jsonl.gz"
    replay(source, path)
    with LogReader(f"sqlite:///{path}") as reader:
        stored = reader.operations(include_messages=True, order_by="operation_id")
    sessions = list(documents(source))
    assert len(sessions) == 100
    nulls = tool_calls = 0
    for session in sessions:
        key = f"task-{session['task_id']}-trial-{session['trial']}"
        lists = stored.filter(pl.col("session_key") == key)["messages"].to_list()
        back = [as_logged(message) for messages in lists for message in messages]
        assert back == session["traj"]
        nulls += sum(message["content"] is None for message in back)
        tool_calls += sum(bool(message.get("tool_calls")) for message in back)
    assert (nulls, tool_calls > 0) == (576, True)


def as_logged(message: dict[str, Any]) -> dict[str, Any]:
    parts = json.loads(message["parts"] or "{}")
    content = {} if "content" in parts else {"content": message["content"]}
    return {"role": message["role"], **content, **parts}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [("missing.jsonl", None, "there is no file"), ("odd.jsonl", '{"a": 1}\n', "the format is not known")],
)
def test_replay_refuses_what_it_cannot_read(name: str, text: str | None, said: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    done = run_python(EXAMPLES / "replay.py", name, cwd=tmp_path)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "replay.db").exists()


@pytest.mark.long  # seconds each, for the frameworks' imports; the documentation's blocks run them every time
@pytest.mark.parametrize(
    ("example", "printed"),
    [
        ("langchain_app", ["chain success outer", "chat success inner"]),
        ("opentelemetry_app", ["invoke_agent success outer", "chat success inner"]),
        ("litellm_app", ["Hi"]),
    ],
)
def test_frameworks(example: str, printed: list[str], tmp_path: Path) -> None:
    body = json.dumps({**CHAT, "created": 1}).encode()
    with served(Turns([Recording("good", "openai", "openai.chat", False, 200, "application/json", body)])) as url:
        environment = {
            "OPENAI_BASE_URL": url,
            "OPENAI_API_KEY": "k",
            "NO_PROXY": "*",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }
        done = run_python(EXAMPLES / f"{example}.py", cwd=tmp_path, **environment)
    assert (done.returncode, done.stdout.splitlines()) == (0, printed), done.stderr
    (call,) = LogReader(f"sqlite:///{tmp_path / example}.db").operations(operation_type="chat").to_dicts()
    assert (call["input_tokens"], call["output_tokens"], call["status"]) == (9, 1, "success")


def test_loguru_and_structlog(tmp_path: Path) -> None:
    done = run_python(EXAMPLES / "loguru_and_structlog.py", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "[('by-loguru', 3), ('by-structlog', 4)]"
