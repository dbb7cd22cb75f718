"""
What deleting half of a log takes, and what it costs a writer beside it.

    python benchmarks/prune.py URL [--operations 1000000] [--rate 500]

URL names an empty database: a SQLite file that is not there, or a server's. 60 days of calls, each with three messages
of 270 characters, are stored in it; the first 30 days are deleted by a process of its own, while this one goes on
logging. How long a commit takes is the time from the last log call to the end of its flush.
"""

import argparse
import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from aicore_sqllog import SQLLogHandler

DAYS = 60
START = datetime(2026, 1, 1, tzinfo=UTC)
BORDER = START + timedelta(days=DAYS / 2)
A_FLUSH = 0.1
"""Seconds between two flushes of the writer."""

TABLES = ("llm_operations", "llm_messages", "llm_sessions")
PRUNE = """
import json, sys
from aicore_sqllog import prune
done = prune(sys.argv[1], before=sys.argv[2], vacuum=sys.argv[3:] == ["vacuum"])
print(json.dumps([done.deleted, done.left, done.transactions, done.longest_seconds]))
"""


def calls(operations: int) -> Iterator[dict[str, object]]:
    """Yield calls in the order of their time, twelve a session."""
    for number in range(operations):
        yield {
            "session_id": f"session-{number // 12}",
            "user_id": f"user-{number % 997}",
            "timestamp": START + timedelta(days=DAYS) * (number / operations),
            "provider": "openai",
            "model": f"model-{number % 7}",
            "messages": [{"role": "system", "content": "s" * 270}, {"role": "user", "content": "u" * 270}],
            "response": "a" * 270,
            "input_tokens": 300,
            "output_tokens": 90,
            "latency_ms": 900,
            "cost": 0.002,
        }


class Writer:
    """Logs calls of today at a steady rate, and notes how long each of its commits takes."""

    def __init__(self, handler: SQLLogHandler, rate: int) -> None:
        self._handler, self._rate = handler, rate
        self._logger = logging.Logger("bench")
        self._logger.addHandler(handler)
        self._is_over = threading.Event()
        self.logged = 0
        self.seconds: list[float] = []

    def run(self) -> None:
        """Log until it is over."""
        while not self._is_over.is_set():
            begun_at = time.monotonic()
            for call in calls(round(self._rate * A_FLUSH)):
                self._logger.info("bench", extra={"llm": {**call, "timestamp": datetime.now(UTC)}})
                self.logged += 1
            last_at = time.monotonic()
            self._handler.flush(120)
            self.seconds.append(time.monotonic() - last_at)
            self._is_over.wait(max(0.0, A_FLUSH - (time.monotonic() - begun_at)))

    def __enter__(self) -> "Writer":
        self._thread = threading.Thread(target=self.run)
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._is_over.set()
        self._thread.join()

    def told(self) -> str:
        """Return the median and the slowest."""
        ordered = sorted(self.seconds)
        return f"median {ordered[len(ordered) // 2] * 1000:.0f} ms, slowest {ordered[-1] * 1000:.0f} ms"


def space(url: sa.URL) -> float:
    """Return the megabytes of the tables and their indexes."""
    kind = url.get_backend_name()
    if kind == "sqlite":
        files = Path(str(url.database)).parent.glob(Path(str(url.database)).name + "*")
        return sum(file.stat().st_size for file in files) / 1e6
    each = {
        "postgresql": "SELECT pg_total_relation_size('{}')",
        "mysql": "SELECT data_length + index_length FROM information_schema.tables "
        "WHERE table_schema = DATABASE() AND table_name = '{}'",
    }[kind]
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        if kind == "mysql":
            connection.exec_driver_sql("ANALYZE TABLE " + ", ".join(TABLES))
        sizes = [connection.exec_driver_sql(each.format(table)).scalar_one() for table in TABLES]
    engine.dispose()
    return sum(map(int, sizes)) / 1e6


def rows(url: sa.URL) -> list[int]:
    """Return how many rows each table has."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        found = [connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one() for table in TABLES]
    engine.dispose()
    return [int(number) for number in found]


def pruned(url: str, *arguments: str) -> tuple[float, list[object]]:
    """Prune in a process of its own; return how long that took, and what it says."""
    begun_at = time.monotonic()
    command = [sys.executable, "-c", PRUNE, url, BORDER.isoformat(), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.monotonic() - begun_at, json.loads(done.stdout)


def main() -> None:
    """Fill, measure and say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--operations", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=500)
    chosen = parser.parse_args()
    url = sa.make_url(chosen.url)
    handler = SQLLogHandler(chosen.url, overflow="block", shutdown_timeout=120)
    begun_at = time.monotonic()
    for number, call in enumerate(calls(chosen.operations)):
        handler.handle(logging.makeLogRecord({"llm": call}))
        if number % 5_000 == 0:
            handler.flush(120)
    assert handler.flush(120)
    print(f"{url.get_backend_name()}: {chosen.operations:,} calls stored in {time.monotonic() - begun_at:.0f} s")
    print(f"  before: rows {rows(url)}, {space(url):,.0f} MB")
    with Writer(handler, chosen.rate) as alone:
        time.sleep(10)
    print(f"  the writer alone: {alone.told()}")
    with Writer(handler, chosen.rate) as beside:
        seconds, (deleted, left, transactions, longest) = pruned(chosen.url)
    print(
        f"  deleted {deleted} in {seconds:.0f} s, {transactions} transactions, the longest {float(str(longest)):.3f} s"
    )
    rate = beside.logged / seconds
    print(f"  the writer beside it: {beside.told()}; {rate:.0f} calls/s; {handler.stats().dropped} dropped")
    print(f"  after: rows {rows(url)}, left {left}, {space(url):,.0f} MB")
    if url.get_backend_name() == "sqlite":
        print(f"  vacuum: {pruned(chosen.url, 'vacuum')[0]:.0f} s, {space(url):,.0f} MB")
    handler.close()


if __name__ == "__main__":
    main()
