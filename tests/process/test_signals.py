"""Signals that end a process, opt-in: what was logged is stored, then whoever had the signal before gets it."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.processes import run_python
from tests.support.servers import ONE_OF_EACH, execute

SETUP = """
import logging, os, signal, sys, threading, time
from aicore_sqllog import SQLLogHandler, install_signal_handlers
log = logging.getLogger("app"); log.setLevel("INFO"); log.propagate = False
handler = SQLLogHandler(sys.argv[1], shutdown_timeout=float(sys.argv[2]), flush_interval=3600, queue_size=1_000_000)
log.addHandler(handler)
def call(number): log.info("call", extra={"provider": "p", "model": "m", "input_tokens": number})
def send(): os.kill(os.getpid(), signal.SIGTERM)
def wait():  # for the end; the signal comes in between
    while True: time.sleep(0.01)
"""


def start(script: str, url: str, tmp_path: Path, timeout: float = 30) -> subprocess.Popen[str]:
    (tmp_path / "script.py").write_text(SETUP + script)
    command = [sys.executable, "-W", "error", "script.py", url, str(timeout)]
    return subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


ENDINGS = {
    "the default action": ("install_signal_handlers(); call(1); send(); wait()", -signal.SIGTERM),
    "another signal": (
        "install_signal_handlers(10, signal.SIGUSR1); call(1); os.kill(os.getpid(), signal.SIGUSR1); wait()",
        -signal.SIGUSR1,
    ),
    "a handler that exits": (
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); install_signal_handlers(); call(1); send(); wait()",
        7,
    ),
    "installed twice": (
        "install_signal_handlers(); install_signal_handlers(); call(1); send(); wait()",
        -signal.SIGTERM,
    ),
    "while the buffer's lock is held by the thread that is interrupted": (
        """
install_signal_handlers()
call(1)
with handler._service._buffer._locked():
    send()
    time.sleep(0.2)
wait()
""",
        -signal.SIGTERM,
    ),
    "while the lock of all threads is held": (
        "install_signal_handlers(); call(1)\nwith threading._active_limbo_lock: send(); time.sleep(0.1)\nwait()",
        -signal.SIGTERM,
    ),
    "in a child that was forked": (
        """
install_signal_handlers()
child = os.fork()
if child == 0:
    call(1)
    send()
    wait()
sys.exit(-os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
""",
        signal.SIGTERM,
    ),
}


@pytest.mark.parametrize("name", ENDINGS)
@ONE_OF_EACH
def test_what_was_logged_is_stored_and_the_exit_status_is_as_before(name: str, url: str, tmp_path: Path) -> None:
    """R10."""
    script, status = ENDINGS[name]
    assert finish(start(script, url, tmp_path)) == (status, "", "")
    assert execute(url, "select count(*) from llm_operations") == [(1,)]


@ONE_OF_EACH
def test_a_signal_in_the_middle_of_a_burst(url: str, tmp_path: Path) -> None:
    """All that was logged before it is stored; what the process goes on to log while it ends may be."""
    script = """
install_signal_handlers()
number = 0
while True:
    number += 1
    call(number)
    os.write(1, b"%d\\n" % number)
"""
    process = start(script, url, tmp_path)
    assert process.stdout is not None
    logged = 0
    while logged < 3000:
        logged = int(process.stdout.readline())
    process.send_signal(signal.SIGTERM)
    status, out, err = finish(process)
    ((count, least, most),) = execute(url, "select count(*), min(input_tokens), max(input_tokens) from llm_operations")
    assert (status, err) == (-signal.SIGTERM, "")
    assert (count, least) == (most, 1), "no gap"
    assert logged <= count <= int(out.split()[-1]) + 1


def test_a_handler_that_goes_on_hears_of_each_signal_once(tmp_path: Path) -> None:
    script = """
heard = []
signal.signal(signal.SIGTERM, lambda *_: heard.append(handler.stats().committed))
install_signal_handlers()
for number in (1, 2, 3):
    call(number)
    send()
    while len(heard) < number: time.sleep(0.001)
print(heard)
"""
    url = f"sqlite:///{tmp_path / 'llm.db'}"
    assert finish(start(script, url, tmp_path)) == (0, "[1, 2, 3]\n", "")


def test_an_ignored_signal_stays_ignored_and_flushes(tmp_path: Path) -> None:
    script = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
install_signal_handlers()
call(1)
send()
while not handler.stats().committed: time.sleep(0.001)
print(handler.stats().pending)
"""
    url = f"sqlite:///{tmp_path / 'llm.db'}"
    assert finish(start(script, url, tmp_path)) == (0, "0\n", "")


def test_without_it_no_signal_is_touched(tmp_path: Path) -> None:
    script = """
import signal
def dispositions(): return {number: signal.getsignal(number) for number in signal.valid_signals()}
before = dispositions()
import aicore_sqllog, logging
handler = aicore_sqllog.SQLLogHandler("sqlite:///x.db")
logging.getLogger().addHandler(handler)
logging.getLogger().error("call", extra={"llm": {}})
handler.flush()
assert dispositions() == before
"""
    done = run_python("-c", script, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_database_that_never_answers_delays_the_end_by_the_timeout_and_a_second_signal_not_at_all(
    tmp_path: Path,
) -> None:
    for signals, timeout, least, most in ((1, 1, 1, 10), (2, 60, 0, 20)):
        with socket.create_server(("127.0.0.1", 0)) as hole:
            url = f"postgresql+psycopg2://u:p@127.0.0.1:{hole.getsockname()[1]}/d"
            process = start(
                "install_signal_handlers(); call(1); print('ready', flush=True); wait()", url, tmp_path, timeout
            )
            assert process.stdout is not None
            process.stdout.readline()
            started = time.monotonic()
            process.send_signal(signal.SIGTERM)
            if signals == 2:
                caller, _ = hole.accept()  # the flush is under way
                process.send_signal(signal.SIGTERM)
                caller.close()
            assert finish(process)[0] == -signal.SIGTERM
            assert least <= time.monotonic() - started < most


BY_OPTION = """
import logging.config, os, signal, sys, threading, time
config = {"version": 1, "handlers": {"llm": {"class": "aicore_sqllog.SQLLogHandler", "connection": sys.argv[1],
    "flush_interval": 3600, "flush_on_sigterm": True}}, "loggers": {"app": {"handlers": ["llm"], "level": "INFO"}}}
def configure(): logging.config.dictConfig(config)
def call(): logging.getLogger("app").info("call", extra={"provider": "p", "model": "m"})
def send(): os.kill(os.getpid(), signal.SIGTERM)
def wait():
    while True: time.sleep(0.01)
"""
OPTION_ENDINGS = {
    "the default action": ("configure(); call(); send(); wait()", -signal.SIGTERM),
    "configured twice": ("configure(); call(); configure(); send(); wait()", -signal.SIGTERM),
    "configured again under a server that passes the signal on": (
        """
configure()
def serve(number, frame):
    signal.signal(number, before)
    signal.raise_signal(number)
before = signal.signal(signal.SIGTERM, serve)
configure()
call()
send()
wait()
""",
        -signal.SIGTERM,
    ),
    "another library sets the default again before the second configuration": (
        "configure(); signal.signal(signal.SIGTERM, signal.SIG_DFL); configure(); call(); send(); wait()",
        -signal.SIGTERM,
    ),
    "a child of a pool": (
        """
import multiprocessing
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(1, configure) as pool: pool.apply(call)
""",
        0,
    ),
}


@pytest.mark.parametrize("name", OPTION_ENDINGS)
def test_the_option_does_it_where_logging_is_configured_by_a_file_alone(name: str, tmp_path: Path) -> None:
    script, status = OPTION_ENDINGS[name]
    (tmp_path / "script.py").write_text(BY_OPTION + script)
    url = f"sqlite:///{tmp_path / 'llm.db'}"

    done = run_python("script.py", url, cwd=tmp_path)

    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")
    assert execute(url, "select count(*) from llm_operations") == [(1,)]


def test_the_option_says_where_it_can_have_no_effect(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        BY_OPTION + "thread = threading.Thread(target=configure); thread.start(); thread.join()"
    )

    done = run_python("script.py", "sqlite:///llm.db", cwd=tmp_path)

    assert done.returncode == 0
    assert "install_signal_handlers()" in done.stderr
