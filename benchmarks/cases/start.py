"""Milliseconds to begin, in a new process."""

from collections.abc import Iterator

from benchmarks.measuring import Subject, UnavailableError, in_turns
from benchmarks.options import Options
from benchmarks.table import Row

_NOTES = {
    "handler": "imports SQLAlchemy's Core for the URL",
    "until it is stored": "imports the ORM and Alembic, and makes the tables, on the thread that writes",
}


def run(options: Options) -> Iterator[Row]:
    """Yield a row for each step."""
    for _, found in in_turns({"start": Subject("start")}, options.rounds, options.note):
        if isinstance(found, UnavailableError):
            yield Row("start", "aicore_sqllog", note=f"not measured: {found}")
            continue
        for name, figure in found.items():
            yield Row("start", name, figure.median, "ms", figure.spread, note=_NOTES.get(name, ""))
