"""A process that writes and reads one SQLite file, with every extra in it, is killed: what was committed is there."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.servers import query

SCRIPT = """
import asyncio, importlib, logging, sys, threading
from aicore_sqllog import AsyncLogReader, LogReader, SQLLogHandler

for extra in ("psycopg", "psycopg2", "asyncpg", "pymysql", "asyncmy", "genai_prices", "rich", "altair", "duckdb"):
    try:
        importlib.import_module(extra)
    except ImportError:
        pass
url = sys.argv[1]
handler = SQLLogHandler(url, flush_interval=3600)
log = logging.getLogger("killed")
log.addHandler(handler)
log.setLevel(1)

there_are_tables = threading.Event()

def write():
    number = 0
    while True:
        for _ in range(20):
            log.info("", extra={"llm": {"model": "m", "response": "r" * 200, "input_tokens": number}})
            number += 1
        assert handler.flush(60)
        print(number, flush=True)
        there_are_tables.set()

async def read_awaited():
    async with AsyncLogReader(url) as reader:
        await reader.operations(limit=50, include_messages=True)

threading.Thread(target=write, daemon=True).start()
there_are_tables.wait(60)
while True:
    with LogReader(url) as reader:
        reader.operations(include_messages=True)
        reader.summary("model")
        list(reader.iter_operations(100))
        reader.scan_operations().filter(input_tokens=3).collect()
    asyncio.run(read_awaited())
"""


def kill_at(committed: int, folder: Path) -> None:
    """Kill a process that writes and reads as soon as it says so many committed; all that it said is stored."""
    path = folder / "llm.db"
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, f"sqlite:///{path}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        said = 0
        for line in process.stdout:
            said = int(line)
            if said >= committed:
                os.kill(process.pid, signal.SIGKILL)
                break
        said = max([said, *map(int, process.stdout.read().split())])
        assert process.wait(60) == -signal.SIGKILL, process.stderr.read()
    stored = query(path, "select input_tokens from llm_operations order by 1")
    assert [number for (number,) in stored][:said] == list(range(said))
    assert query(path, "select count(*) from llm_messages") == [(len(stored),)]
    assert query(path, "pragma integrity_check") == [("ok",)]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize(
    "times",
    [pytest.param(2, id="twice"), pytest.param(50, id="50 times", marks=[pytest.mark.long, pytest.mark.timeout(1200)])],
)
def test_a_killed_process_that_reads_too_leaves_every_committed_row(times: int, tmp_path: Path) -> None:
    chance = random.Random(times)
    for number in range(times):
        folder = tmp_path / str(number)
        folder.mkdir()
        kill_at(chance.randrange(20, 800), folder)
