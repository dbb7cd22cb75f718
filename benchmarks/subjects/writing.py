"""
From the first log call to the last commit, and the limit of it: as many calls of a handler that does nothing, and the
driver alone writing the same rows, ready-made, into the same tables with the same indexes and keys.
"""

import gc
import logging
import multiprocessing
import threading
import time
from typing import Any

from benchmarks.databases import new_database
from benchmarks.subjects.common import Figures, Nothing, logger_of, run
from benchmarks.subjects.limit import limit_seconds
from benchmarks.workload import fields

_SECONDS = 300.0


def subject(
    driver: str, operations: int = 10_000, threads: int = 1, processes: int = 1, accelerate: bool = True
) -> Figures:
    """Return operations a second, those of the limit, their ratio, and microseconds of processor an operation."""
    items = [fields(number) for number in range(operations // (threads * processes))]
    gc.freeze()  # an application makes its fields when it needs them: the collector has not all of them to look through
    idle = _log_all(logger_of(Nothing(), "floor"), items) / len(items) * operations
    with new_database(driver) as url:
        _prepare(url)
        seconds, cpu = _seconds(url, items, threads, processes, accelerate)
        stored, alone = limit_seconds(driver, url)
    count = len(items) * threads * processes
    assert stored == count + 1, (stored, count)
    rate, limit = count / seconds, count / (alone + idle)
    return {"rate": rate, "limit": limit, "ratio": rate / limit, "cpu": cpu / count * 1e6}


def _prepare(url: str) -> None:
    """Make the tables, and let this process load what the first batch loads."""
    from aicore_sqllog import SQLLogHandler

    handler = SQLLogHandler(url)
    logger_of(handler, "first").info("llm call", extra=fields(0))
    assert handler.flush(_SECONDS)
    handler.close()


def _log_all(log: logging.Logger, items: list[dict[str, Any]]) -> float:
    begun = time.perf_counter()
    for extra in items:
        log.info("llm call", extra=extra)
    return time.perf_counter() - begun


def _write(url: str, items: list[dict[str, Any]], threads: int, accelerate: bool) -> None:
    from aicore_sqllog import SQLLogHandler

    handler = SQLLogHandler(url, queue_size=10**6, queue_bytes=2**33, accelerate=accelerate)
    log = logger_of(handler, "ours")
    workers = [threading.Thread(target=_log_all, args=(log, items)) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert handler.flush(_SECONDS)
    handler.close()


def _seconds(
    url: str, items: list[dict[str, Any]], threads: int, processes: int, accelerate: bool
) -> tuple[float, float]:
    """Return the seconds it took, and those of this process's processor."""
    begun, cpu = time.perf_counter(), time.process_time()
    if processes == 1:
        _write(url, items, threads, accelerate)
    else:
        with multiprocessing.get_context("fork").Pool(processes) as pool:
            pool.starmap(_write, [(url, items, threads, accelerate)] * processes)
    return time.perf_counter() - begun, time.process_time() - cpu


if __name__ == "__main__":
    run(subject)
