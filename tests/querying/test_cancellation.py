"""Readers that are cancelled, dropped or left behind by their loop close their connections, and warn of nothing."""

import logging
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from tests.conftest import MakeHandler
from tests.support.processes import run_python

SCRIPT = """
import asyncio, gc, sys
from aicore_sqllog import AsyncLogReader, LogReader, apolars_from_db
url = sys.argv[1]

async def cancelled(seconds):
    task = asyncio.create_task(apolars_from_db(url, include_messages=True))
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

async def left_behind(seconds):
    task = asyncio.create_task(apolars_from_db(url))
    await asyncio.sleep(seconds)

async def timed_out(seconds):
    try:
        async with asyncio.timeout(seconds):
            await AsyncLogReader(url).count()
    except TimeoutError:
        pass

for steps in range(12):
    for interrupted in (cancelled, left_behind, timed_out):
        asyncio.run(interrupted(steps * steps / 4000))
reader = LogReader(url)
found = reader.count()
del reader
gc.collect()
print(found, asyncio.run(apolars_from_db(url)).height)
"""


@pytest.mark.backends("sqlite", "postgresql+psycopg2", "postgresql+psycopg", "postgresql+asyncpg", "mysql+asyncmy")
def test_interrupted_readers_leave_no_connection_and_no_warning(
    make_handler: MakeHandler, url: str, tmp_path: Path
) -> None:
    handler = make_handler()
    for number in range(300):
        handler.handle(logging.makeLogRecord({"llm": {"input_tokens": number, "response": "r"}}))
    assert handler.flush()
    handler.close()
    done = run_python("-c", SCRIPT, url, cwd=tmp_path)
    assert (done.stdout.split(), done.stderr) == (["300", "300"], "")
    if make_url(url).get_backend_name() == "sqlite":
        assert not list(tmp_path.glob("llm.db-*"))
