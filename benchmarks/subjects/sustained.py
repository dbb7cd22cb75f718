"""
A long run at half of what can be written: rate, memory, write-ahead log, and the age of the oldest that waits.
"""

import os
import time
from pathlib import Path
from typing import Any

from benchmarks.databases import new_database
from benchmarks.subjects.common import Figures, logger_of, run
from benchmarks.workload import fields

_SAMPLE = 6_000
_EVERY = 2.0


def subject(driver: str, seconds: float) -> Figures:
    """Return the rate, MiB of memory after the first minute and at the end, the largest log and the greatest age."""
    from aicore_sqllog import SQLLogHandler

    with new_database(driver) as url:
        handler = SQLLogHandler(url)
        log = logger_of(handler, "sustained")
        _burst(log, 500)
        assert handler.flush(60)
        begun = time.perf_counter()
        _burst(log, _SAMPLE)
        assert handler.flush(60)
        rate = _SAMPLE / (time.perf_counter() - begun) / 2
        ages, memories, logs = [0.0], [_resident_mib()], [0.0]
        count, begun, next_look = 0, time.perf_counter(), _EVERY
        while (passed := time.perf_counter() - begun) < seconds:
            behind = int(passed * rate) - count
            _burst(log, behind, count)
            count += behind
            if passed >= next_look:
                next_look += _EVERY
                ages.append(handler.stats().oldest_age)
                memories.append(_resident_mib())
                logs.append(_log_mib(url))
            time.sleep(0.005)
        assert handler.flush(60)
        took, stats = time.perf_counter() - begun, handler.stats()
        handler.close()
    warm = memories[min(len(memories) - 1, int(60 / _EVERY))]
    return {
        "rate": count / took,
        "memory_start": warm,
        "memory_end": memories[-1],
        "log": max(logs),
        "age": max(ages),
        "dropped": float(stats.accepted - stats.committed),
    }


def _burst(log: Any, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        log.info("llm call", extra=fields(number))


def _resident_mib() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _log_mib(url: str) -> float:
    path = Path(url.removeprefix("sqlite:///") + "-wal")
    return os.path.getsize(path) / 2**20 if url.startswith("sqlite") and path.exists() else 0.0


if __name__ == "__main__":
    run(subject)
