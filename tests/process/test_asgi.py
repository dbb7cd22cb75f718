"""ASGI servers that are ended by SIGTERM while they answer: there is a row for every request that was answered."""

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from tests.support.processes import wait_until
from tests.support.servers import execute, free_port

pytest.importorskip("uvicorn")
pytest.importorskip("uvicorn_worker")

SERVICE = """
import asyncio, logging, logging.config, json, os
if "CONFIGURE" in os.environ: logging.config.dictConfig(json.load(open("logging.json")))
log = logging.getLogger("service")
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown" and "LIFESPAN" in os.environ:
                await log.handlers[0].aflush()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown": return
    await asyncio.sleep(0.005)
    log.info("answered", extra={"provider": "p", "model": scope["path"]})
    await send({"type": "http.response.start", "status": 200, "headers": [[b"content-length", b"2"]]})
    await send({"type": "http.response.body", "body": b"ok"})
"""
UVICORN = ["uvicorn", "service:app", "--log-config", "logging.json", "--no-access-log"]
GUNICORN = ["gunicorn", "service:app", "-k", "uvicorn_worker.UvicornWorker", "--no-control-socket"]
SERVERS = {
    "uvicorn": (UVICORN, {}),
    "uvicorn, two workers": ([*UVICORN, "--workers", "2"], {}),
    "uvicorn, reload": ([*UVICORN, "--reload"], {}),
    "uvicorn, by its lifespan": (UVICORN, {"LIFESPAN": "1"}),
    "gunicorn with uvicorn's worker": ([*GUNICORN, "--workers", "2"], {"CONFIGURE": "1"}),
    "gunicorn with uvicorn's worker, preloaded, by its lifespan": (
        [*GUNICORN, "--preload"],
        {"CONFIGURE": "1", "LIFESPAN": "1"},
    ),
}


def logging_config(url: str, by_signal: bool) -> dict[str, object]:
    handler = {
        "class": "aicore_sqllog.SQLLogHandler",
        "connection": url,
        "flush_interval": 3600,
        "shutdown_timeout": 30,
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"llm": {**handler, "shutdown_timeout": 30, "flush_on_sigterm": by_signal}},
        "loggers": {"service": {"handlers": ["llm"], "level": "INFO"}},
    }


@contextmanager
def running(arguments: list[str], folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", *arguments]
    with (folder / "said.txt").open("wb") as said:
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, **environment}, stdout=said, stderr=said)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(60)


@pytest.mark.slow
@pytest.mark.parametrize("name", SERVERS)
def test_sigterm_in_mid_traffic_loses_nothing_that_was_answered(name: str, tmp_path: Path) -> None:
    arguments, environment = SERVERS[name]
    url = f"sqlite:///{tmp_path / 'llm.db'}"
    (tmp_path / "service.py").write_text(SERVICE)
    (tmp_path / "logging.json").write_text(json.dumps(logging_config(url, "LIFESPAN" not in environment)))
    port = free_port()
    bind = ["--port", str(port)] if arguments[0] == "uvicorn" else ["--bind", f"127.0.0.1:{port}"]
    answered: list[str] = []
    done = threading.Event()

    def ask(path: str) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10) as answer:
                answer.read()
        except OSError:
            return False
        answered.append(f"/{path}")
        return True

    def keep_asking(thread: int) -> None:
        for number in range(10_000):
            if done.is_set():
                return
            ask(f"{thread}-{number}")

    with running([*arguments, *bind], tmp_path, environment) as process:
        firsts = count()
        wait_until(lambda: ask(f"first-{next(firsts)}") or process.poll() is not None, 60)
        threads = [threading.Thread(target=keep_asking, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(answered) >= 100, 60)
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        done.set()
        for thread in threads:
            thread.join()

    stored = [model for (model,) in execute(url, "select model from llm_operations")]
    assert set(answered) <= set(stored), (tmp_path / "said.txt").read_text()
    assert Counter(stored).most_common(1)[0][1] == 1, "each once"
