"""The end of a process: what was logged is stored, the exit code is the script's, stderr is empty."""

import re
import time
from pathlib import Path

import pytest

from tests.support.processes import run_python
from tests.support.servers import ONE_OF_EACH, execute

pytestmark = pytest.mark.slow

SETUP = """
import logging, sys
from aicore_sqllog import SQLLogHandler
log = logging.getLogger("app"); log.setLevel("INFO"); log.addHandler(SQLLogHandler(sys.argv[1]))
def call(): log.info("call", extra={"provider": "p", "model": "m"})
"""

SCRIPTS = {
    "last line": SETUP + "call()",
    "exit code": SETUP + "call(); sys.exit(3)",
    "atexit, registered before us": "import atexit\natexit.register(lambda: call())\n" + SETUP,
    "atexit, registered after us": SETUP + "import atexit; atexit.register(call)",
    "atexit, registered before logging": "import atexit\natexit.register(lambda: call())\nimport logging\n" + SETUP,
    "a thread that outlives main": SETUP
    + """
import threading
def later():
    threading.main_thread().join()
    call()
threading.Thread(target=later).start()
""",
    "after shutdown": SETUP + "logging.shutdown(); call()",
    "a handler that another dictConfig took off the list": SETUP
    + "import logging.config; logging.config.dictConfig({'version': 1, 'disable_existing_loggers': False}); call()",
    "an exception": SETUP + "call(); sys.stderr.close(); raise SystemExit(1)",
}
CODES = {"exit code": 3, "an exception": 1}


@ONE_OF_EACH
@pytest.mark.parametrize("name", SCRIPTS)
def test_what_is_logged_at_the_end_is_stored(name: str, url: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPTS[name])

    finished = run_python("script.py", url, cwd=tmp_path)

    assert (finished.returncode, finished.stdout, finished.stderr) == (CODES.get(name, 0), "", "")
    assert execute(url, "select count(*) from llm_operations") == [(1,)]


def test_a_database_that_takes_nothing_delays_the_exit_by_the_timeout_at_most_and_is_said(tmp_path: Path) -> None:
    script = SETUP.replace("sys.argv[1]", '"sqlite:////no/such/folder/x.db", shutdown_timeout=0.2') + "call()"
    (tmp_path / "script.py").write_text(script)

    finished = run_python("script.py", cwd=tmp_path)

    assert finished.returncode == 0
    assert "1 record could not be stored" in finished.stderr


@ONE_OF_EACH
def test_a_callback_that_takes_its_time_before_it_logs_has_taken_none_of_ours(url: str, tmp_path: Path) -> None:
    """Only what we wait ourselves counts against ``shutdown_timeout``."""
    late = "import atexit, time\natexit.register(lambda: (time.sleep(1.5), call()))\nimport logging\n"
    (tmp_path / "script.py").write_text(
        late + SETUP.replace("sys.argv[1])", "sys.argv[1], shutdown_timeout=1)") + "call(); log.handlers[0].flush(60)"
    )

    finished = run_python("script.py", url, cwd=tmp_path)

    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")
    assert execute(url, "select count(*) from llm_operations") == [(2,)]


STREAM = """
from aicore_sqllog import llm_operation
def chunks():
    for text in "abc":
        choice = {"delta": {"content": text}, "index": 0}
        yield {"choices": [choice], "model": "m", "object": "chat.completion.chunk"}
def ask():
    with llm_operation(log, provider="openai", messages="hi") as op: return op.stream(chunks())
stream = ask()
next(stream)
"""
GENERATOR = """
from aicore_sqllog import llm_operation
def answer():
    with llm_operation(log, provider="openai", model="m", messages="hi"):
        yield "a"
        yield "b"
suspended = answer()
next(suspended)
"""
DESTRUCTOR = """
class Logs:
    def __del__(self): call()
kept = Logs()
kept.itself = kept
"""
TORN_DOWN = {
    "a stream left early": (STREAM, 1),
    "a stream left early, after a record": ("call()" + STREAM, 2),
    "an operation in a suspended generator": (GENERATOR, 1),
    "an operation in a suspended generator, after a record": ("call()" + GENERATOR, 2),
    "an operation in a coroutine that never ends": (
        """
import asyncio
from aicore_sqllog import llm_operation
async def answer():
    async with llm_operation(log, provider="openai", model="m"): await asyncio.Future()
coroutine = answer()
async def begin(): coroutine.send(None)
asyncio.run(begin())
""",
        1,
    ),
    "an operation of a daemon thread": (
        """
import threading
from aicore_sqllog import llm_operation
begun = threading.Event()
def answer():
    with llm_operation(log, provider="openai", model="m"):
        begun.set()
        threading.Event().wait()
threading.Thread(target=answer, daemon=True).start()
begun.wait()
""",
        1,
    ),
    "a destructor that logs, after a record": ("call()" + DESTRUCTOR, 2),
    "a hundred destructors that log, after a flushed record": (
        "call(); log.handlers[0].flush()" + DESTRUCTOR + "many = [Logs() for _ in range(99)]",
        101,
    ),
    "a destructor that logs, of a closed handler": ("call(); log.handlers[0].close()" + DESTRUCTOR, 2),
}


@ONE_OF_EACH
@pytest.mark.parametrize("name", TORN_DOWN)
def test_what_is_torn_down_while_the_interpreter_ends_is_stored(name: str, url: str, tmp_path: Path) -> None:
    """A destructor's record may come when no server can be reached any more: then a line says that it is not stored."""
    script, rows = TORN_DOWN[name]
    (tmp_path / "script.py").write_text(SETUP + script)

    finished = run_python("script.py", url, cwd=tmp_path)

    told = re.findall(r"aicore_sqllog: (\d+) records? could not be stored in .* comes too late", finished.stderr)
    may_be_told = "destructor" in name and not url.startswith("sqlite")
    assert (finished.returncode, finished.stdout) == (0, "")
    assert len(finished.stderr.splitlines()) == len(told) <= may_be_told
    ((stored,),) = execute(url, "select count(*) from llm_operations")
    assert stored == rows or (told and rows - len(TORN_DOWN_LATE) <= stored < rows)


TORN_DOWN_LATE = range(100)
"""So many destructors log in one of the scripts."""

STOPPED = """
import sys, threading
class Stopped:
    '''A lock that is held by a thread that the interpreter has stopped.'''
    def __init__(self): self.lock = threading.RLock()
    def __enter__(self): return self.acquire()
    def __exit__(self, *exc): self.lock.release()
    def acquire(self, blocking=True, timeout=-1):
        if not sys.is_finalizing(): return self.lock.acquire(blocking, timeout)
        if blocking and timeout: threading.Event().wait(30 if timeout < 0 else timeout)
        return False
    def release(self): self.lock.release()
"""


@pytest.mark.parametrize(
    ("before", "said"),
    [
        pytest.param("", "1 record could not be stored", id="the first record"),
        pytest.param(
            "call(); log.handlers[0].close(); log.handlers[0]._service.worker._delivery_lock = stopped.Stopped()",
            "1 record could not be stored",
            id="after a thread was stopped while it delivered",
        ),
        pytest.param(
            "log.handlers[0]._service._buffer._lock = stopped.Stopped()",
            "a record could not be taken",
            id="after a thread was stopped inside the buffer",
        ),
    ],
)
def test_what_comes_too_late_to_be_stored_is_said_and_delays_nothing(before: str, said: str, tmp_path: Path) -> None:
    """Nothing is imported that late, no thread is started, and no lock is waited for."""
    (tmp_path / "stopped.py").write_text(STOPPED)  # apart, or it would keep the globals of the script
    script = SETUP.replace("sys.argv[1]", "sys.argv[1], shutdown_timeout=30") + f"import stopped\n{before}\n"
    (tmp_path / "script.py").write_text(script + DESTRUCTOR)

    began_at = time.monotonic()
    finished = run_python("script.py", f"sqlite:///{tmp_path / 'llm.db'}", cwd=tmp_path)

    assert time.monotonic() - began_at < 20
    assert finished.returncode == 0
    assert said in finished.stderr
    assert finished.stderr.count("\n") == 1, finished.stderr


def test_a_daemon_thread_that_logs_without_end_delays_the_exit_by_the_timeout_at_most(tmp_path: Path) -> None:
    script = (
        SETUP.replace("sys.argv[1]", "sys.argv[1], shutdown_timeout=1")
        + """
import threading
def log_for_ever():
    while True: call()
for _ in range(2): threading.Thread(target=log_for_ever, daemon=True).start()
while log.handlers[0].stats().committed == 0: pass
"""
    )
    (tmp_path / "script.py").write_text(script)

    began_at = time.monotonic()
    finished = run_python("script.py", f"sqlite:///{tmp_path / 'llm.db'}", cwd=tmp_path)

    assert finished.returncode == 0
    assert time.monotonic() - began_at < 15
