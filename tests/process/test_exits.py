"""The end of a process: what was logged is stored, the exit code is the script's, stderr is empty."""

from pathlib import Path

import pytest

from tests.support.processes import run_python
from tests.support.servers import ONE_OF_EACH, execute

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
    assert "1 records could not be stored" in finished.stderr


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
