"""Forks of every kind, with real servers of processes: rows equal records, each once, and nobody hangs."""

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.processes import run_python, wait_until
from tests.support.servers import ONE_OF_EACH, execute, free_port

pytestmark = pytest.mark.slow

SERVERS = pytest.mark.backends("postgresql+psycopg2", "mysql+pymysql")

SETUP = """
import gc, logging, os, sys, threading, time, warnings
warnings.filterwarnings("ignore", "This process", DeprecationWarning)  # that a process with threads forks is the test
import aicore_sqllog
from aicore_sqllog import SQLLogHandler
URL = sys.argv[1] if len(sys.argv) > 1 and "://" in sys.argv[1] else os.environ["TEST_URL"]
log = logging.getLogger("app"); log.setLevel("INFO"); log.propagate = False
def call(model): log.info("call", extra={"provider": "p", "model": model, "response": "r"})
def attach(*arguments, **options):
    handler = SQLLogHandler(*(arguments or (URL,)), **{"shutdown_timeout": 30, "flush_interval": 3600, **options})
    log.addHandler(handler)
    return handler
def in_child(act):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            act()
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    return child
def wait_for(child):
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


def run(script: str, url: str, tmp_path: Path, *arguments: str) -> None:
    """Run *script*; it must end well and say nothing."""
    (tmp_path / "script.py").write_text(SETUP + script)
    done = run_python("script.py", url, *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def stored(url: str) -> dict[str, int]:
    """Return how many operations there are of each model; each has its one message, and no id twice."""
    assert execute(url, "select count(*) from llm_messages") == execute(url, "select count(*) from llm_operations")
    return dict(execute(url, "select model, count(*) from llm_operations group by model"))


@contextmanager
def served(arguments: list[str], cwd: Path, url: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server in *cwd*, and end it with SIGTERM, as an operator does; it must end well."""
    command = [sys.executable, "-m", *arguments]
    environment = {**os.environ, "TEST_URL": url}
    with (cwd / "said.txt").open("wb") as said:
        process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=said, stderr=said)
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0, (cwd / "said.txt").read_text()
        finally:
            process.kill()
            process.wait(60)


GUNICORN_APP = (
    SETUP
    + """
attach(flush_interval=0.2)
for _ in range(100): call("preloaded")
def app(environ, start_response):
    call("request")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""
)


@ONE_OF_EACH
def test_gunicorn_with_preload_and_four_workers(url: str, tmp_path: Path) -> None:
    """R02: the handler is configured, and 100 records wait in it, before the workers are forked."""
    (tmp_path / "service.py").write_text(GUNICORN_APP)
    port = free_port()

    def get(_: int) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
            body: bytes = answer.read()
            return body

    def is_up() -> bool:
        try:
            return bool(get(0))
        except OSError:
            return False

    options = ["--preload", "--workers", "4", "--bind", f"127.0.0.1:{port}", "--no-control-socket"]
    with served(["gunicorn", *options, "service:app"], tmp_path, url):
        wait_until(is_up)
        with ThreadPoolExecutor(8) as pool:
            answered_by = list(pool.map(get, range(400)))
    assert stored(url) == {"preloaded": 100, "request": 401}
    assert len(set(answered_by)) > 1
    assert "aicore_sqllog" not in (tmp_path / "said.txt").read_text()


CELERY_APP = (
    SETUP
    + """
from pathlib import Path
from celery import Celery
from celery.signals import worker_process_shutdown
folder = str(Path(__file__).parent / "broker")
app = Celery("tasks", broker="filesystem://")
app.conf.broker_transport_options = {name: folder for name in ("data_folder_in", "data_folder_out", "control_folder")}
app.conf.broker_connection_retry_on_startup = True
app.conf.worker_hijack_root_logger = False
handler = attach()
@worker_process_shutdown.connect
def flush(**_): handler.flush()  # a process of the pool ends by os._exit
for _ in range(10): call("configured")
@app.task
def work(number):
    for _ in range(5): call("task")
    (Path(__file__).parent / "done" / str(number)).touch()
"""
)


@pytest.mark.backends("sqlite")  # the others' forks are those of the tests below
@pytest.mark.parametrize("tasks_a_child", ["1", pytest.param("1000", marks=pytest.mark.long)])
def test_celery_prefork_stores_what_a_child_had_queued_when_it_ended(
    tasks_a_child: str, url: str, tmp_path: Path
) -> None:
    """R04: no time and no full batch writes anything here, only the flush in ``worker_process_shutdown``."""
    for folder in ("broker", "done"):
        (tmp_path / folder).mkdir()
    (tmp_path / "tasks.py").write_text(CELERY_APP)
    options = ["--concurrency", "4", "--max-tasks-per-child", tasks_a_child, "--loglevel", "WARNING"]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    send = "import tasks\nfor number in range(20): tasks.work.delay(number)\ntasks.log.handlers[0].flush(30)"
    with served(["celery", "-A", "tasks", "worker", "--pool", "prefork", *options, *quiet], tmp_path, url):
        assert run_python("-c", send, cwd=tmp_path, TEST_URL=url).returncode == 0
        wait_until(lambda: len(list((tmp_path / "done").iterdir())) == 20, 60)
    assert stored(url) == {"configured": 2 * 10, "task": 100}, (tmp_path / "said.txt").read_text()


MULTIPROCESSING = """
import multiprocessing
def work(): [call("child") for _ in range(25)]
handler = attach()
if __name__ == "__main__":
    for _ in range(10): call("parent")
    context = multiprocessing.get_context(sys.argv[2])
    processes = [context.Process(target=work) for _ in range(4)]
    for process in processes: process.start()
    for process in processes: process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    with context.Pool(2) as pool:
        pool.starmap(work, [()] * 4, chunksize=1)
        pool.close()
        pool.join()
    call("parent")
"""


@ONE_OF_EACH
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_multiprocessing_children_write_what_they_queued_before_they_end(method: str, url: str, tmp_path: Path) -> None:
    """R02, R04: they end by ``os._exit``, past ``atexit``."""
    run(MULTIPROCESSING, url, tmp_path, method)
    assert stored(url) == {"parent": 11, "child": 200}


@ONE_OF_EACH
def test_a_double_fork_as_a_daemon_does_it(url: str, tmp_path: Path) -> None:
    script = """
handler = attach()
for _ in range(10): call("parent")
middle = os.fork()
if middle == 0:
    os.setsid()
    call("lost with os._exit")
    if os.fork() == 0:
        for _ in range(10): call("daemon")
        sys.exit()  # writes what it has, as every process does
    os.wait()
    os._exit(0)
wait_for(middle)
"""
    run(script, url, tmp_path)
    assert stored(url) == {"parent": 10, "daemon": 10}


@ONE_OF_EACH
def test_a_fork_while_another_thread_holds_every_lock(url: str, tmp_path: Path) -> None:
    """R01."""
    script = """
from aicore_sqllog import LlmOperationCollector, collector
from aicore_sqllog.process import fork_guard as forks
forks._LONGEST_WAIT_SECONDS = 0.1
handler = attach()
held, done = threading.Event(), threading.Event()
def hold():
    with handler._service._buffer._locked(), collector._HANDLERS_LOCK, handler.lock, forks.IMPORTS:
        held.set()
        done.wait()
threading.Thread(target=hold).start()
held.wait()
def act():
    started = time.monotonic()
    call("child")
    LlmOperationCollector.record_completion(URL, provider="p", model="collected", response="r")
    assert time.monotonic() - started < 1
    assert handler.flush(30)
    assert LlmOperationCollector.flush(URL, 30)
child = in_child(act)
done.set()
wait_for(child)
call("parent")
"""
    run(script, url, tmp_path)
    assert stored(url) == {"child": 1, "collected": 1, "parent": 1}


@ONE_OF_EACH
def test_an_open_connection_is_not_shared(url: str, tmp_path: Path) -> None:
    """R03: parent and child write at the same time, more than 1000 statements each."""
    run(BOTH_WRITE.format(connection="URL"), url, tmp_path)
    assert stored(url) == {"parent": 301, "child": 300}


@SERVERS
def test_the_connections_of_a_lent_engine_are_not_shared(url: str, tmp_path: Path) -> None:
    run(BOTH_WRITE.format(connection="__import__('sqlalchemy').create_engine(URL)"), url, tmp_path)
    assert stored(url) == {"parent": 301, "child": 300}


BOTH_WRITE = """
handler = attach({connection})
call("parent")
assert handler.flush()
def write(model):
    for _ in range(300):
        call(model)
        assert handler.flush()
    assert handler.stats().last_error is None, handler.stats()
child = in_child(lambda: write("child"))
write("parent")
wait_for(child)
"""


@ONE_OF_EACH
def test_forks_while_the_thread_imports_connects_and_writes(url: str, tmp_path: Path) -> None:
    """A child has no half-imported module, no locked SQLite, and none of the file locks of its parent."""
    script = """
handler = attach(flush_interval=0.01)
done = threading.Event()
def produce():
    while not done.is_set():
        for _ in range(20): call("parent")
        time.sleep(0.02)
producer = threading.Thread(target=produce)
producer.start()
def act():
    call("child")
    assert handler.flush(90), handler
children = [in_child(act) for _ in range(12)]
for child in children: wait_for(child)
done.set()
producer.join()
assert handler.flush()
with open("parent.txt", "w") as file: print(handler.stats().committed, handler.stats().dropped, file=file)
"""
    run(script, url, tmp_path)
    committed, dropped = map(int, (tmp_path / "parent.txt").read_text().split())
    assert dropped == 0
    assert stored(url) == {"parent": committed, "child": 12}


def test_a_hundred_handlers_that_are_gone_leave_nothing_for_a_fork(tmp_path: Path) -> None:
    """R05."""
    script = """
import weakref
gone = []
for number in range(100):
    handler = SQLLogHandler(f"sqlite:///{number % 5}.db")
    log.addHandler(handler)
    call("m")
    log.removeHandler(handler)
    handler.close()
    gone.append(weakref.ref(handler))
del handler
gc.collect()
assert [reference for reference in gone if reference() is not None] == []
wait_for(in_child(lambda: None))
"""
    run(script, "sqlite:///unused.db", tmp_path)


@ONE_OF_EACH
def test_a_readers_kept_connection_is_not_shared(url: str, tmp_path: Path) -> None:
    script = """
from aicore_sqllog import LogReader
from aicore_sqllog.reader import _READERS, resolve
handler = attach()
call("parent")
assert handler.flush()
reader = LogReader(URL)
def read():
    for _ in range(50):  # counts alone: Polars has threads of its own, and makes no frame in a forked child
        assert _READERS.get(resolve(URL)).count() == reader.count() == 1
read()
child = in_child(read)
read()
wait_for(child)
reader.close()
"""
    run(script, url, tmp_path)


@ONE_OF_EACH
def test_the_books_of_a_child_are_its_own(url: str, tmp_path: Path) -> None:
    script = """
handler = attach()
log.info("not about a model")
call("parent")
assert handler.flush()
def act():
    stats = handler.stats()
    assert (stats.accepted, stats.committed, stats.pending, stats.ignored) == (0, 0, 0, 0)
wait_for(in_child(act))
"""
    run(script, url, tmp_path)


@ONE_OF_EACH
def test_gevent_with_everything_patched(url: str, tmp_path: Path) -> None:
    """R06: a thousand greenlets log, and one of them flushes."""
    script = """
import gevent
handler = attach()
def flush():
    started = time.monotonic()
    outcome.append(handler.flush(30))
    assert time.monotonic() - started < 30
outcome = []
greenlets = [gevent.spawn(call, "greenlet") for _ in range(1000)]
greenlets.insert(500, gevent.spawn(flush))
gevent.joinall(greenlets, raise_error=True)
assert outcome == [True]
call("last")
"""
    (tmp_path / "script.py").write_text("from gevent import monkey; monkey.patch_all()\n" + SETUP + script)
    done = run_python("script.py", url, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert stored(url) == {"greenlet": 1000, "last": 1}
