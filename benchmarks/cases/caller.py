"""Microseconds of a log call for the thread that makes it."""

from collections.abc import Iterator

from benchmarks.measuring import Subject, UnavailableError, in_turns, peer
from benchmarks.options import Options
from benchmarks.table import Goal, Row

_AHEAD_OF = ("QueueHandler", "OpenTelemetry's logging handler, batched", "loguru, enqueue=True")


def run(options: Options) -> Iterator[Row]:
    """Yield a row for each way to log; the ratio is to a handler that does nothing, in the same process."""
    seconds = 0.5 if options.quick else 1.0

    def caller(logger: str, shape: str = "small", **more: object) -> Subject:
        return Subject("caller", {"logger": logger, "shape": shape, "seconds": seconds, **more})

    subjects = {
        "ours, 3 messages": caller("ours"),
        "ours, 20 messages of 2 KB": caller("ours", "large"),
        "ours, 3 messages, a datetime and a UUID": caller("ours", has_objects=True),
        "ours, 3 messages, at full load": caller("ours, at full load"),
        'ours, 3 messages, journal="always"': caller('ours, journal="always"'),
        "llm_operation, 3 messages": caller("llm_operation"),
        **{f"{name}, 3 messages": caller(name) for name in _AHEAD_OF},
        **{f"{name}, 20 messages of 2 KB": caller(name, "large") for name in _AHEAD_OF},
        "AiCore, 3 messages": peer("aicore", operations=200),
        "MLflow tracing, 3 messages": peer("mlflow", operations=200),
    }
    goals = {
        "ours, 3 messages": Goal(at_most=1.5),
        "ours, 20 messages of 2 KB": Goal(at_most=1.5),
        "ours, 3 messages, a datetime and a UUID": Goal(at_most=2.2),
        'ours, 3 messages, journal="always"': Goal(at_most=2.5),
    }
    for name, found in in_turns(options.chosen(subjects), options.rounds, options.note):
        if isinstance(found, UnavailableError):
            yield Row("caller", name, note=f"not measured: {found}")
            continue
        p99, blocks = found["p99"].median, found["blocks"].median if "blocks" in found else None
        note = f"99th percentile {p99:.1f} us" + ("" if blocks is None else f", {blocks:.0f} blocks kept")
        median, ratio = found["median"], found["ratio"].median
        limit = "x a handler that does nothing"
        yield Row("caller", name, median.median, "us", median.spread, ratio, limit, goals.get(name), note)
