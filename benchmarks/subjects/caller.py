"""
What a log call costs the thread that makes it, beside a handler that does nothing, call by call in turns.
"""

import functools
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from benchmarks.databases import new_database
from benchmarks.subjects.common import Figures, Nothing, logger_of, percentiles, run, timed
from benchmarks.workload import fields

Call = Callable[[dict[str, Any]], object]
Drain = Callable[[], object]

_CALLS = 250
_SECONDS_OF_LOAD = 2.0


def subject(logger: str, shape: str = "small", seconds: float = 1.0, has_objects: bool = False) -> Figures:
    """Return median and 99th percentile in microseconds, of *logger* and of the floor, and the objects it keeps."""
    items = [fields(number, shape, has_objects=has_objects) for number in range(_CALLS)]
    floor = _log_call(logger_of(Nothing(), "floor"))
    with new_database("sqlite") as url:
        call, drain = _LOGGERS[logger](url)
        if logger == "ours, at full load":
            return _under_load(call, drain, floor, items)
        timed(call, items)
        drain()
        ours, nothing, kept = list[int](), list[int](), list[float]()
        until = time.perf_counter() + seconds
        while time.perf_counter() < until or not ours:
            nothing += timed(floor, items)
            before = sys.getallocatedblocks()
            ours += timed(call, items)
            kept.append((sys.getallocatedblocks() - before) / _CALLS)
            drain()
        return {**_figures(ours, nothing), "blocks": sorted(kept)[len(kept) // 2]}


def _under_load(call: Call, drain: Drain, floor: Call, items: list[dict[str, Any]]) -> Figures:
    """Call as fast as can be while the handler writes what came before."""
    nothing = [time for _ in range(20) for time in timed(floor, items)]
    ours = list[int]()
    until = time.perf_counter() + _SECONDS_OF_LOAD
    while time.perf_counter() < until:
        ours += timed(call, items)
    drain()
    return _figures(ours, nothing)


def _figures(ours: list[int], nothing: list[int]) -> Figures:
    (median, p99), (floor, floor_p99) = percentiles(ours), percentiles(nothing)
    return {"median": median, "p99": p99, "floor": floor, "floor_p99": floor_p99, "ratio": median / floor}


def _log_call(log: logging.Logger) -> Call:
    info = log.info
    return lambda extra: info("llm call", extra=extra)


def _ours(url: str, is_idle: bool, **options: Any) -> tuple[Call, Drain]:
    from aicore_sqllog import SQLLogHandler

    if is_idle:
        options |= {"flush_interval": 3600, "batch_size": 1_000_000, "queue_size": 1_000_000, "queue_bytes": 2**33}
    handler = SQLLogHandler(url, **options)
    return _log_call(logger_of(handler, "ours")), lambda: handler.flush(60)


def _journaled(url: str) -> tuple[Call, Drain]:
    return _ours(url, True, journal="always", journal_dir=tempfile.mkdtemp())


def _operation(url: str) -> tuple[Call, Drain]:
    from aicore_sqllog import SQLLogHandler, llm_operation

    handler = SQLLogHandler(url, flush_interval=3600, batch_size=1_000_000, queue_size=1_000_000, queue_bytes=2**33)
    log = logger_of(handler, "ours")

    def call(extra: dict[str, Any]) -> None:
        asked = {name: value for name, value in extra.items() if name not in ("status", "latency_ms")}
        with llm_operation(log, **asked) as operation:
            operation.record("an answer")

    return call, lambda: handler.flush(60)


def _queue_handler(url: str) -> tuple[Call, Drain]:
    import queue
    from logging.handlers import QueueHandler

    waiting: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()

    def drain() -> None:
        while not waiting.empty():
            waiting.get()

    return _log_call(logger_of(QueueHandler(waiting), "queue")), drain


def _opentelemetry(url: str) -> tuple[Call, Drain]:
    from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, InMemoryLogRecordExporter

    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider()
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))

    def drain() -> None:
        provider.force_flush()
        exporter.clear()

    return _log_call(logger_of(LoggingHandler(logger_provider=provider), "otel")), drain


def _loguru(url: str) -> tuple[Call, Drain]:
    from loguru import logger

    logger.remove()
    logger.add(lambda message: None, enqueue=True, format="{message} {extra}")
    return lambda extra: logger.bind(**extra).info("llm call"), logger.complete


_LOGGERS: dict[str, Callable[[str], tuple[Call, Drain]]] = {
    "ours": functools.partial(_ours, is_idle=True),
    "ours, at full load": functools.partial(_ours, is_idle=False),
    'ours, journal="always"': _journaled,
    "llm_operation": _operation,
    "QueueHandler": _queue_handler,
    "OpenTelemetry's logging handler, batched": _opentelemetry,
    "loguru, enqueue=True": _loguru,
}

if __name__ == "__main__":
    run(subject)
