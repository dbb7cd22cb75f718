"""What the subjects share: loggers, timed calls, and how a subject says its figures."""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from statistics import median, quantiles
from typing import Any

__all__ = ["Figures", "Nothing", "logger_of", "percentiles", "run", "timed"]

Figures = dict[str, float]


class Nothing(logging.Handler):
    """A handler that does nothing: the floor of every log call."""

    def handle(self, record: logging.LogRecord) -> bool:
        """Do nothing."""
        return True


def logger_of(handler: logging.Handler, name: str) -> logging.Logger:
    """Return a logger that has *handler* alone."""
    log = logging.Logger(name, logging.INFO)
    log.addHandler(handler)
    return log


def timed(call: Callable[[Any], object], items: Iterable[Any]) -> list[int]:
    """Return how long each call took, in nanoseconds."""
    clock, times = time.perf_counter_ns, list[int]()
    for item in items:
        begun = clock()
        call(item)
        times.append(clock() - begun)
    return times


def percentiles(times: Sequence[float], unit: float = 1e-3) -> tuple[float, float]:
    """Return the median and the 99th percentile of *times*, multiplied by *unit*."""
    return median(times) * unit, quantiles(times, n=100)[98] * unit


def run(subject: Callable[..., Figures]) -> None:
    """Call *subject* with the options on the command line, and print its figures."""
    figures = subject(**json.loads(sys.argv[1]))
    print("\n" + json.dumps(figures), flush=True)
