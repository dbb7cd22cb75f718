"""What is called around forks and at the end: in the stated order, whatever came first, and while its object lives."""

import itertools
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.processes import run_python

SETUP = """
import os, sys, threading
from aicore_sqllog.process import hooks
def fork(act=lambda: None):
    child = os.fork()
    if child == 0:
        act()
        sys.stdout.flush()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


def run(script: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    return run_python("-c", SETUP + script, cwd=tmp_path)


def test_the_steps_are_called_in_their_order_not_in_that_of_their_registration(tmp_path: Path) -> None:
    script = """
said = []
for step in reversed(hooks.Child): hooks.in_child(step, lambda step=step: said.append(step.name))
for step in reversed(hooks.End): hooks.at_end(step, lambda step=step: print("end", step.name))
hooks.before_fork(lambda: said.append("before"))
hooks.in_parent(lambda: said.append("parent"))
fork(lambda: print(*said))
print(*said)
"""
    done = run(script, tmp_path)

    assert (done.stdout.splitlines(), done.stderr) == (
        [
            "before GUARDS STATE CONNECTIONS HANDLERS",
            "before parent",
            "end OPERATIONS",
            "end HANDLERS",
            "end CONNECTIONS",
        ],
        "",
    )


def test_what_one_call_raises_keeps_no_other_from_being_called(tmp_path: Path) -> None:
    script = """
hooks.at_end(hooks.End.HANDLERS, lambda: 1 / 0)
hooks.at_end(hooks.End.HANDLERS, lambda: print("called"))
"""
    done = run(script, tmp_path)

    assert done.stdout == "called\n"
    assert "ZeroDivisionError" in done.stderr


def test_a_bound_method_goes_with_its_object(tmp_path: Path) -> None:
    script = """
class Holder:
    def __init__(self, name):
        self.name = name
        hooks.in_child(hooks.Child.STATE, self.told)
        hooks.at_end(hooks.End.HANDLERS, self.told)
    def told(self): print(self.name)
kept = Holder("kept")
for _ in range(1000): Holder("gone")
fork()
"""
    assert run(script, tmp_path).stdout == "kept\n" * 2


MODULES = ("handler", "reader", "collector", "process.signals", "values.ids")


@pytest.mark.slow
@pytest.mark.parametrize("first", MODULES)
def test_a_child_is_put_right_whichever_module_came_first(first: str, tmp_path: Path) -> None:
    rest = "\n".join(f"import aicore_sqllog.{name}" for name in MODULES)
    script = f"""
import aicore_sqllog.{first}
{rest}
import logging
from aicore_sqllog.values import ids
url = "sqlite:///llm.db"
handler = aicore_sqllog.SQLLogHandler(url, flush_interval=3600)
log = logging.getLogger("app")
log.setLevel("INFO")
log.addHandler(handler)
def call(model): log.info("call", extra={{"provider": "p", "model": model}})
call("parent")
def act():
    call("child")
    assert handler.flush(30)
    print(ids.mint()[14:], handler.stats().committed)
for _ in range(2): fork(act)
handler.flush(30)
print(sorted(aicore_sqllog.reader.polars_from_db(url)["model"]))
print(len(set(aicore_sqllog.reader.polars_from_db(url)["session_id"])))
"""
    done = run(script, tmp_path)

    first_child, second_child, models, sessions = done.stdout.splitlines()
    assert done.stderr == ""
    assert first_child != second_child, "both would mint the same ids"
    assert first_child.endswith(" 1")
    assert models == "['child', 'child', 'parent']"
    assert sessions == "3", "each process has a session of its own"


def test_a_notice_that_another_thread_is_giving_does_not_silence_the_child(tmp_path: Path) -> None:
    script = """
from aicore_sqllog.process.notices import Notices
notices = Notices()
said = threading.Event()
def hold():
    with notices._lock:
        said.set()
        threading.Event().wait()
threading.Thread(target=hold, daemon=True).start()
said.wait()
fork(lambda: notices.say("reason", "heard"))
assert not notices.say("reason", "unheard")
"""
    assert run(script, tmp_path).stderr == "aicore_sqllog: heard\n"


def test_hooks_alone_register_with_the_interpreter() -> None:
    words = ("register_at_fork", "atexit.register", "register_after_fork", "Finalize(")
    package = ROOT / "aicore_sqllog"
    found = {
        path.relative_to(package).as_posix()
        for path, word in itertools.product(package.rglob("*.py"), words)
        if word in path.read_text("utf-8")
    }
    assert found == {"process/hooks.py"}
