"""Milliseconds from the log call until another connection sees the row; a batch waits for a second at most."""

from collections.abc import Iterator

from benchmarks.measuring import Subject, UnavailableError, in_turns
from benchmarks.options import Options
from benchmarks.table import Row


def run(options: Options) -> Iterator[Row]:
    """Yield a row for each rate, with the default options, on SQLite."""
    rates = {f"{rate:,} records/s": Subject("latency", {"rate": rate}) for rate in (10, 100, 1_000)}
    for name, found in in_turns(options.chosen(rates), min(2, options.rounds), options.note):
        if isinstance(found, UnavailableError):
            yield Row("latency", name, note=f"not measured: {found}")
        else:
            note = f"99th percentile {found['p99'].median:,.0f} ms"
            yield Row("latency", name, found["median"].median, "ms", found["median"].spread, note=note)
