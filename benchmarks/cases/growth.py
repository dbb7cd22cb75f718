"""Inserting and reading as the tables grow; up to 10,000,000 messages with ``--full``."""

from collections.abc import Iterator

from benchmarks.measuring import Subject, UnavailableError, in_turns
from benchmarks.options import Options
from benchmarks.table import Goal, Row


def run(options: Options) -> Iterator[Row]:
    """Yield two rows for each size, on SQLite; ratios are to the smallest size, in the same process."""
    sizes = [10_000, 100_000] if options.quick else [10_000, 100_000, 300_000]
    if options.full:
        sizes = [10_000, 100_000, 1_000_000, 10_000_000]
        options.note("growth takes some 8 GB of disk, in the temporary folder, and half an hour")
    subjects = {"sqlite": Subject("growth", {"driver": "sqlite", "sizes": sizes})}
    for name, found in in_turns(options.chosen(subjects), 1, options.note):
        if isinstance(found, UnavailableError):
            yield Row("growth", name, note=f"not measured: {found}")
            continue
        for size in sizes:
            inserts, day = found[f"insert {size}"].median, found[f"day {size}"].median
            note = f"{found[f'disk {size}'].median:,.0f} MiB of disk, {found[f'memory {size}'].median:,.0f} of memory"
            limit, first = f"of that at {sizes[0]:,}", sizes[0]
            what = f"{name}, inserts at {size:,} messages"
            ratio = inserts / found[f"insert {first}"].median
            yield Row("growth", what, inserts, "op/s", 0.0, ratio, limit, Goal(0.7) if size != first else None, note)
            ratio = day / found[f"day {first}"].median
            goal = Goal(at_most=1.5) if size != first else None
            what = f"{name}, a day of 1,000 rows at {size:,} messages"
            yield Row("growth", what, day, "ms", 0.0, ratio, limit.replace("of", "x", 1), goal)
