"""
What becomes slower as the tables grow: inserting, and reading one day.
"""

import os
import time
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from benchmarks.databases import new_database
from benchmarks.subjects.common import Figures, logger_of, run
from benchmarks.workload import fields

_DAY = 1_000
"""Operations of one day, so that a day has as many rows however many there are in all."""

_SAMPLE = 2_000
_BEGUN = datetime(2020, 1, 1, tzinfo=UTC)


def subject(driver: str, sizes: list[int]) -> Figures:
    """Return for each size: operations inserted a second, milliseconds of a day, MiB of memory and of disk."""
    from aicore_sqllog import LogReader, SQLLogHandler

    figures: Figures = {}
    with new_database(driver) as url:
        handler = SQLLogHandler(url, queue_size=2_000, overflow="block")
        log = logger_of(handler, "growth")
        written = 0
        for size in sizes:
            _log(log, written, size // 3 - _SAMPLE // 2)
            written = max(written, size // 3 - _SAMPLE // 2)
            assert handler.flush(600)
            begun = time.perf_counter()
            _log(log, written, written + _SAMPLE)
            assert handler.flush(600)
            figures[f"insert {size}"] = _SAMPLE / (time.perf_counter() - begun)
            written += _SAMPLE
            with LogReader(url) as reader:
                figures[f"day {size}"] = median(_read_day(reader, written // _DAY // 2) for _ in range(5)) * 1e3
            figures[f"memory {size}"] = _resident_mib()
            if driver == "sqlite":
                figures[f"disk {size}"] = os.path.getsize(url.removeprefix("sqlite:///")) / 2**20
        handler.close()
    return figures


def _log(log: Any, first: int, last: int) -> None:
    for number in range(first, last):
        extra = fields(number)
        extra["timestamp"] = _BEGUN + timedelta(days=number // _DAY, seconds=number % _DAY)
        log.info("llm call", extra=extra)


def _read_day(reader: Any, day: int) -> float:
    start = _BEGUN + timedelta(days=day)
    begun = time.perf_counter()
    rows = reader.operations(start_date=start, end_date=start + timedelta(days=1)).height
    assert rows == _DAY, rows
    return time.perf_counter() - begun


def _resident_mib() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    run(subject)
