"""Each command against a log, an empty log, none, wrong options, a closed pipe and Ctrl-C: output and exit code."""

import csv
import io
import json
import logging
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from aicore_sqllog import LogReader, SQLLogHandler
from aicore_sqllog.cli import main
from aicore_sqllog.cli.options import filter_names
from aicore_sqllog.cli.program import COMMANDS
from aicore_sqllog.querying.filters import Filters
from aicore_sqllog.storage.connection import resolve
from aicore_sqllog.storage.preparation import bring_up
from aicore_sqllog.storage.revisions import HEAD
from tests.support.processes import run_python, wait_until

Run = Callable[..., tuple[int, str, str]]

READING = {
    "list": ["list"],
    "show": ["show", "call-3"],
    "search": ["search", "Rome"],
    "tail": ["tail"],
    "stats": ["stats"],
    "summary": ["summary", "--by", "model"],
    "sessions": ["sessions"],
    "conversation": ["conversation", "chat-1"],
    "losses": ["losses"],
}
"""Commands that read a log, with what they need."""

NEEDED = {**READING, "export": ["export", "out"]}
FILTERED = [name for name in READING if name not in ("show", "stats", "conversation", "losses")] + ["export"]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process; return exit code, output and errors."""

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main(arguments)
        except SystemExit as exc:  # argparse's way for wrong options
            code = int(exc.code or 0)
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with 30 calls, which tests copy."""
    path = tmp_path_factory.mktemp("filled") / "llm.db"
    logger = logging.Logger("filled")
    handler = SQLLogHandler(f"sqlite:///{path}", flush_interval=3600)
    logger.addHandler(handler)
    for number in range(30):
        llm = {
            "operation_id": f"call-{number}",
            "session_id": f"chat-{number % 3}",
            "timestamp": f"2026-01-{number + 1:02}T12:00:00",
            "provider": "openai",
            "model": "gpt-4o" if number % 2 else "gpt-4o-mini",
            "messages": f"Question {number}: of Italy?",
            "response": "Rome." if number % 5 == 0 else "Paris.",
            "input_tokens": number,
            "output_tokens": 1,
            "latency_ms": number * 10,
            "cost": number / 1000,
            "status": "error" if number == 7 else "success",
            "extras": {"project": "x", "n": number},
        }
        logger.info("answered", extra={"llm": llm})
    assert handler.flush(30)
    handler.close()
    return path


@pytest.fixture
def connection(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A log of 30 calls, which the environment names."""
    shutil.copy(filled, tmp_path / "llm.db")
    url = f"sqlite:///{tmp_path / 'llm.db'}"
    monkeypatch.setenv("CONNECTION_STRING", url)
    return url


def log_one(connection: str, **llm: object) -> None:
    """Add a call to the log."""
    logger, handler = logging.Logger("one"), SQLLogHandler(connection)
    logger.addHandler(handler)
    logger.info("answered", extra={"llm": llm})
    assert handler.flush(30)
    handler.close()


@pytest.fixture
def empty(tmp_path: Path) -> str:
    """A log without a call."""
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    bring_up(resolve(url), HEAD)
    return url


def test_list_in_every_format(run: Run, connection: str, tmp_path: Path) -> None:
    with LogReader(connection) as reader:
        newest = reader.operations(descending=True, limit=2)
    code, table, err = run("list", "-n", "2")
    assert (code, err) == (0, "")
    head, first, _ = table.splitlines()
    assert head.split() == [
        "timestamp",
        "operation_id",
        "model",
        *["input_tokens", "output_tokens", "latency_ms", "cost", "status"],
    ]
    assert first.startswith(f"2026-01-30 12:00:00  {newest['operation_id'][0]}  gpt-4o ")
    found = json.loads(run("list", "-n", "2", "--json")[1])
    assert [call["operation_id"] for call in found] == newest["operation_id"].to_list()
    assert found[0]["extras"]["project"] == "x", "documents are documents"
    assert [json.loads(line) for line in run("list", "-n", "2", "--jsonl")[1].splitlines()] == found
    rows = list(csv.DictReader(io.StringIO(run("list", "-n", "2", "--csv", "--messages")[1])))
    assert [row["cost"] for row in rows] == ["0.029", "0.028"]
    assert json.loads(rows[0]["messages"])[1]["content"] == "Paris."
    assert run("list", "-n", "2", "--parquet", "out.parquet")[:2] == (0, "")
    assert pl.read_parquet("out.parquet").equals(newest)
    assert run("list", "-n", "0", "--columns", "cost,model", "--ascending", "--csv")[1].splitlines()[:2] == [
        "cost,model",
        "0.0,gpt-4o-mini",
    ]
    assert run("list", "--json", "--csv")[0] == 2


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--model", "gpt-4o", "--min-cost", "0.025"], [25, 27, 29]),
        (["--status", "error"], [7]),
        (["--session_id", "chat-1", "--start_date=2026-01-20"], [19, 22, 25, 28]),
        (["--operation-id", "call-3", "--operation-id", "call-5"], [3, 5]),
        (["--end-date", "2026-01-02"], [0, 1]),
        (["--min-tokens", "29.5"], [29]),
        (["--max-latency", "10"], [0, 1]),
        (["--extras", "n=3"], [3]),
        (["--extras", '["n"]=4', "--extras", "project=x"], [4]),
        (["--extras", 'n="3"'], []),
        (["--content-contains", "Question 1:"], [1]),
        (["--role", "assistant", "--content-contains", "Rome", "--max-input-tokens", "4"], [0]),
    ],
)
def test_filters_are_those_of_the_reader(options: list[str], expected: list[int], run: Run, connection: str) -> None:
    code, out, _ = run("list", "-n", "0", "--ascending", "--columns", "input_tokens", "--csv", *options)
    assert code == 0
    assert [int(line) for line in out.split()[1:]] == expected


def test_every_filter_is_an_option_of_every_command_that_takes_them(run: Run) -> None:
    assert set(filter_names()) == set(Filters.__annotations__) - {"where"}
    for command in FILTERED:
        told = run(command, "--help")[1]
        missing = [name for name in filter_names() if f"--{name.replace('_', '-')}" not in told]
        assert missing == (["content_contains"] if command == "search" else []), command


def test_show_search_tail_and_stats(run: Run, connection: str) -> None:
    code, shown, _ = run("show", "call-3")
    assert code == 0
    assert re.search(r"^session_key +chat-0$", shown, re.MULTILINE)
    assert shown.endswith("── user\nQuestion 3: of Italy?\n\n── assistant\nParis.\n")
    with LogReader(connection) as reader:
        key = reader.operations(operation_id="call-3")["operation_id"][0]
    assert json.loads(run("show", key[:13], "--json")[1])[0]["messages"][1]["content"] == "Paris."
    for unknown in ("nothing", "00000000", "0000", key[:7]):
        assert run("show", unknown) == (1, "", f"aicore-sqllog: there is no operation {unknown!r}.\n")

    lines = run("search", "Rome", "-n", "2", "--max-input-tokens", "22")[1].splitlines()
    assert [line.rsplit(maxsplit=2)[1:] for line in lines[1:]] == [["assistant", "Rome."]] * 2
    assert "2026-01-21" in lines[1]

    lines = run("tail", "-n", "2", "--messages")[1].splitlines()
    assert [line[:19] for line in lines] == ["2026-01-29 12:00:00", "    Paris.", "2026-01-30 12:00:00", "    Paris."]
    assert lines[2].endswith("openai/gpt-4o  success  29 in  1 out  290 ms  cost 0.029")

    found = json.loads(run("stats", "--json")[1])[0]
    assert (found["operations"], found["messages"], found["sessions"], found["input_tokens"]) == (30, 60, 3, 435)
    assert found["last_timestamp"] == "2026-01-30 12:00:00+00:00"
    assert "operations       30\n" in run("stats")[1]


def test_summary_sessions_and_conversation(run: Run, connection: str) -> None:
    with LogReader(connection) as reader:
        expected = reader.summary(["model", ("extras", "project")], start_date="2026-01-11")
        said = reader.conversation("chat-1")
    by = ["--by", "model", "--by", '["extras", "project"]', "--start-date", "2026-01-11"]
    found = json.loads(run("summary", *by, "--json")[1])
    assert [row["cost"] for row in found] == expected["cost"].to_list()
    assert found[0].keys() == set(expected.columns)
    table = run("summary", *by)[1].splitlines()
    assert table[0].split()[:3] == ["model", "extras.project", "calls"]
    assert table[1].split()[:3] == ["gpt-4o", "x", "10"]
    weeks = ["summary", "--every", "1w", "--tz", "Europe/Berlin", "--measures", "calls", "--csv"]
    assert [int(line.rsplit(",")[-1]) for line in run(*weeks)[1].splitlines()[1:]] == [4, 7, 7, 7, 5]

    rows = run("sessions")[1].splitlines()
    assert [row.split()[:2] for row in rows[1:]] == [["chat-2", "10"], ["chat-1", "10"], ["chat-0", "10"]]
    assert run("conversation", "chat-1")[1].count("── user\n") == 10
    assert len(json.loads(run("conversation", "chat-1", "--json")[1])) == said.height == 20
    assert run("conversation", "nobody") == (1, "", "aicore-sqllog: there is no session 'nobody'.\n")


def test_export_verify_and_import(run: Run, connection: str, tmp_path: Path) -> None:
    code, out, err = run("export", "out", "--status", "success", "--part-rows", "10")
    assert (code, out, err) == (0, "out: 58 messages, 29 operations, 3 sessions in 7 files\n", "")
    assert run("verify", "out")[:2] == (0, "out: every file is what the manifest says\n")
    (tmp_path / "out" / "llm_messages-00002.parquet").unlink()
    assert run("verify", "out")[:2] == (1, "llm_messages-00002.parquet cannot be read: No such file or directory.\n")
    assert run("export", "out2")[0] == 0
    code, out, _ = run("import", "out2", "--connection", "sqlite:///copy.db")
    assert (code, out) == (
        0,
        "imported 3 sessions, 30 operations, 60 messages; there already: 0 sessions, 0 operations, 0 messages\n",
    )
    assert run("export", "out", "--status", "error")[0] == 2
    assert run("export", "out3", "--part-rows", "0")[0] == 2


def test_prune_asks_says_and_proves(run: Run, connection: str) -> None:
    user = ["prune", "--before", "2026-01-11", "--session-id", "chat-1", "--session-id", "chat-2"]
    told = "would delete 6 operations, 12 messages; would empty nothing\n"
    assert run(*user, "--dry-run") == (0, told, "")
    code, out, err = run(*user)
    assert (code, out) == (2, told), "nobody is there to be asked"
    assert "nothing was changed" in err
    done = (0, "deleted 6 operations, 12 messages; emptied nothing; nothing match still\n", "")
    assert run(*user, "--yes") == done
    assert run("prune", "--content-before", "2026-01-20", "--yes", "--vacuum")[0] == 0
    assert len(json.loads(run("search", "Question", "-n", "0", "--json")[1])) == 11
    code, out, err = run("prune", "--yes")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "what shall go" in err
    with LogReader(connection) as reader:
        assert reader.count() == 24


def test_recompute_prices_what_was_not_reported(run: Run, connection: str) -> None:
    Path("prices.json").write_text(json.dumps({"mine": {"input": 1.0, "output": 2.0}}))
    log_one(connection, model="mine", messages="hi", input_tokens=1_000_000, output_tokens=500_000)
    told = "1 of 1 calls; their cost: 0 before, 2 after\n"
    assert run("recompute", "--prices", "prices.json", "--dry-run") == (0, f"would change {told}", "")
    assert run("recompute", "--prices", "prices.json", "--start-date", "2026-02-01") == (0, f"changed {told}", "")
    assert json.loads(run("summary", "--by", "model", "--model", "mine", "--json")[1])[0]["cost"] == 2.0


@pytest.mark.parametrize("command", READING)
def test_an_empty_log_is_no_error(command: str, run: Run, empty: str) -> None:
    code, out, err = run(*READING[command], "--connection", empty)
    if command in ("show", "conversation"):
        assert (code, out) == (1, "")
        assert re.fullmatch(r"aicore-sqllog: there is no (operation 'call-3'|session 'chat-1')\.\n", err)
        return
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == (0 if command == "tail" else 1) or command == "stats"
    rows = json.loads(run(*READING[command], "--connection", empty, "--json")[1])
    assert rows == [] or rows[0]["operations"] == 0


def test_an_empty_log_is_exported_and_imported(run: Run, empty: str) -> None:
    assert run("export", "out", "--connection", empty)[:2] == (0, "out: nothing in 0 files\n")
    assert run("verify", "out")[0] == 0
    assert run("import", "out", "--connection", "sqlite:///copy.db")[0] == 0


NO_LOG = [
    *READING.values(),
    ["export", "out"],
    ["prune", "--before", "2026-01-01"],
    ["recompute"],
    ["current"],
    ["check"],
]


@pytest.mark.parametrize("arguments", NO_LOG, ids=lambda arguments: arguments[0])
def test_a_missing_log_is_one_line_and_nothing_is_made(arguments: list[str], run: Run, tmp_path: Path) -> None:
    code, out, err = run(*arguments, "--connection", "sqlite:///none.db")
    assert (code, out) == (1 if arguments == ["check"] else 2, "")
    assert err.startswith("aicore-sqllog: There is no log at ")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        *[([*NEEDED[name], "--start-date", "soon"], "start_date='soon' cannot be right") for name in FILTERED],
        *[([*NEEDED[name], "--min-cost", "much"], "invalid number value: 'much'") for name in FILTERED],
        *[([*NEEDED[name], "--modell", "m"], "unrecognized arguments: --modell") for name in FILTERED],
        (["list", "--columns", "cots"], "there is no column 'cots'. Did you mean 'cost'?"),
        (["list", "--order-by", "extras"], "rows have no such order"),
        (["summary", "--by", "modl"], "Did you mean 'model'?"),
        (["summary", "--by", "["], "it is no JSON"),
        (["summary", "--every", "1d", "--tz", "Berlin"], "Berlin"),
        (["list", "--extras", "x"], "Allowed: KEY=VALUE"),
        (["list", "-n", "-1"], "a number from 0 on"),
        (["tail", "-f", "--csv"], "--follow has no end"),
        (["prune", "--before", "soon", "--yes"], "before='soon'"),
        (["import", "none"], "none cannot be read"),
        (["verify", "none"], "There is no export in none"),
        (["journal", "inspect", "none"], "There is no none"),
        (["list", "--connection", "no url"], "connection is not a SQLAlchemy URL"),
        (["list", "--connection", "postgresql+psycopg2://u:secret@127.0.0.1:1/db"], "127.0.0.1:1"),
        ([], "the following arguments are required: command"),
        (["nonsense"], "invalid choice: 'nonsense'"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_line_that_says_so(
    arguments: list[str], told: str, run: Run, connection: str
) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1
    assert "secret" not in err


PIPED_TOO = [
    ["list", "-n", "0"],
    ["search", "Question", "-n", "0", "--csv"],
    ["tail", "-n", "0"],
    ["stats"],
    ["show", "call-3"],
    ["export", "out"],
    ["verify", "finished"],
    ["import", "finished", "--connection", "sqlite:///copy.db"],
    ["journal", "inspect"],
    ["current"],
]
PIPED = [["list", "-n", "0", "--json", "--messages"], ["tail", "-n", "0", "-f"], ["journal", "verify"]]


@pytest.mark.slow
@pytest.mark.parametrize(
    "commands", [PIPED, pytest.param(PIPED_TOO, marks=pytest.mark.long)], ids=["some", "the others"]
)
def test_a_closed_pipe_is_quiet(commands: list[list[str]], connection: str) -> None:
    assert main(["export", "finished", "--quiet"]) == 0
    running = []
    for command in commands:
        read, write = os.pipe()
        os.close(read)
        running.append(start(*command, stdout=write))
        os.close(write)
    for command, process in zip(commands, running, strict=True):
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (141, b""), command


def start(*arguments: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "aicore_sqllog", *arguments], stdout=stdout, stderr=subprocess.PIPE)


@pytest.fixture
def following(connection: str) -> Iterator[subprocess.Popen[bytes]]:
    process = start("tail", "-f", "-n", "1", "--jsonl", "--interval", "0.1")
    yield process
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_tail_follows_until_ctrl_c(following: subprocess.Popen[bytes], connection: str) -> None:
    assert following.stdout is not None
    assert json.loads(following.stdout.readline())["input_tokens"] == 29
    for number in (101, 102):
        log_one(connection, model="m", messages="hi", input_tokens=number)
        assert json.loads(following.stdout.readline())["input_tokens"] == number
    following.send_signal(signal.SIGINT)
    out, err = following.communicate(timeout=60)
    assert (following.returncode, out, err) == (130, b"", b"")


@pytest.mark.long
def test_ctrl_c_in_an_import_leaves_what_can_be_gone_on_with(run: Run, connection: str, tmp_path: Path) -> None:
    assert run("export", "out", "--part-rows", "1")[0] == 0
    process = start("import", "out", "--connection", "sqlite:///copy.db")
    wait_until(lambda: (tmp_path / "copy.db").exists())
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) in [(130, b""), (0, b"")]
    assert run("import", "out", "--connection", "sqlite:///copy.db")[0] == 0
    assert '"operations":30,"messages":60' in run("stats", "--connection", "sqlite:///copy.db", "--json")[1]


def on_terminal(*arguments: str, columns: int = 140, **environment: str) -> str:
    """Return what a command writes to a terminal."""
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "aicore_sqllog", *arguments],
        stdout=its,
        stderr=its,
        env={**os.environ, "COLUMNS": str(columns), "TERM": "xterm-256color", **environment},
    )
    os.close(its)
    written = b""
    try:
        while chunk := os.read(ours, 65536):
            written += chunk
    except OSError:
        pass  # how Linux says that nobody writes any more
    os.close(ours)
    assert process.wait(60) == 0
    return written.decode()


@pytest.mark.slow
def test_a_table_fits_the_terminal_and_colours_can_be_refused(connection: str) -> None:
    coloured, plain = on_terminal("list", "-n", "30"), on_terminal("list", "-n", "30", columns=70, NO_COLOR="1")
    assert "\x1b[31merror" in coloured
    assert "\x1b[3" not in plain
    for written, columns in ((coloured, 140), (plain, 70)):
        lines = re.sub(r"\x1b\[[\d;]*m", "", written).splitlines()
        assert max(map(len, lines)) <= columns
        assert "0.029" in lines[2], "a number is never cut"


@pytest.mark.long
def test_without_rich_a_table_is_plain_text(connection: str, tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    hide = """
import importlib.util as util
find = util.find_spec
util.find_spec = lambda name, *others: None if name == "rich" else find(name, *others)
"""
    (tmp_path / "hidden" / "sitecustomize.py").write_text(hide)
    path = os.pathsep.join(filter(None, [str(tmp_path / "hidden"), os.environ.get("PYTHONPATH")]))
    written = on_terminal("list", "-n", "3", PYTHONPATH=path)
    assert "\x1b" not in written
    assert "0.029  success" in written


def test_what_was_said_cannot_steer_the_terminal(run: Run, connection: str) -> None:
    hostile = "evil\x1b[2J\x1b]0;owned\x07\r\x9b31m\u202e"
    log_one(connection, model=hostile, messages=hostile, response=hostile, operation_id="bad")
    for command in (
        ["list"],
        ["show", "bad"],
        ["tail", "--messages"],
        ["search", "evil"],
        ["summary", "--by", "model"],
    ):
        written = run(*command)[1]
        assert "evil␛[2J" in written, command
        for sign in ("\x1b", "\x07", "\r", "\x9b", "\u202e"):
            assert sign not in written, command


def test_every_command_has_help_and_the_program_too(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    for command in COMMANDS:
        assert re.search(rf"^    {command.name}\s", out, re.MULTILINE)
        assert run(command.name, "--help")[1].startswith(f"usage: aicore-sqllog {command.name} ")
    assert run("--version")[:2][0] == 0


def test_the_command_is_installed_and_loads_no_migrations(tmp_path: Path) -> None:
    code = "import sys\nfrom aicore_sqllog.cli import main\nprint([n for n in ('alembic', 'rich') if n in sys.modules])"
    done = run_python("-c", code, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("[]\n", "")
