"""
Rows a second into a Polars frame, and of the driver alone; what a summary takes beside fetching everything.
"""

import resource
import sqlite3
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks.databases import new_database
from benchmarks.subjects.common import Figures, logger_of, run
from benchmarks.workload import fields

_SELECT = (
    "SELECT o.*, s.session_key, s.metadata AS session_metadata FROM llm_operations o "
    "JOIN llm_sessions s ON s.session_id = o.session_id ORDER BY o.timestamp"
)
_ROUNDS = 3


def subject(driver: str, operations: int = 50_000) -> Figures:
    """Return rows a second of ``operations``, of the driver alone and of the ratio; peak memory in MiB; summaries."""
    from aicore_sqllog import LogReader

    with new_database(driver) as url:
        _fill(url, operations)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with LogReader(url) as reader:
            ways: dict[str, Callable[[], int]] = {
                "ours": lambda: reader.operations().height,
                "fetchall": lambda: _fetchall(driver, url),
                "row by row": lambda: _row_by_row(url),
            }
            reader.operations()
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            if driver.startswith("postgresql"):
                ways["COPY"] = lambda: _copy(url)
            rates = _rates(ways, operations)
            limit = rates.get("COPY", rates["fetchall"])
            figures = {**rates, "ratio": rates["ours"] / limit, "beside rows": rates["ours"] / rates["row by row"]}
            return {**figures, "memory": grown, **_summaries(reader)}


def _fill(url: str, operations: int) -> None:
    from aicore_sqllog import SQLLogHandler

    handler = SQLLogHandler(url, queue_size=10**6, queue_bytes=2**33)
    log = logger_of(handler, "fill")
    for number in range(operations):
        extra = fields(number)
        del extra["messages"]
        log.info("llm call", extra=extra)
    assert handler.flush(600)
    handler.close()


def _rates(ways: dict[str, Callable[[], int]], operations: int) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(_ROUNDS):
        for name, way in ways.items():
            begun = time.perf_counter()
            rows = way()
            times[name].append(time.perf_counter() - begun)
            assert rows == operations, (name, rows)
    return {name: operations / median(found) for name, found in times.items()}


def _fetchall(driver: str, url: str) -> int:
    if driver == "sqlite":
        connection: Any = sqlite3.connect(url.removeprefix("sqlite:///"))
        rows = connection.execute(_SELECT).fetchall()
        connection.close()
        return len(rows)
    import sqlalchemy as sa

    engine = sa.create_engine(url, poolclass=sa.NullPool)
    connection = engine.raw_connection()
    cursor = connection.cursor()
    cursor.execute(_SELECT)
    rows = cursor.fetchall()
    connection.close()
    return len(rows)


def _copy(url: str) -> int:
    import polars as pl
    import psycopg
    import sqlalchemy as sa

    address = sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    copying = f"COPY ({_SELECT}) TO STDOUT (FORMAT csv, HEADER)"
    with psycopg.connect(address) as connection, connection.cursor().copy(copying) as copy:
        text = b"".join(bytes(block) for block in copy)
    return pl.read_csv(text, infer_schema_length=0).height


def _row_by_row(url: str) -> int:
    """What the predecessor does: rows, dictionaries, a frame."""
    import polars as pl
    import sqlalchemy as sa

    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        rows = [dict(row._mapping) for row in connection.execute(sa.text(_SELECT))]
    frame = pl.from_dicts([{name: str(value) for name, value in row.items()} for row in rows])
    return frame.height


def _summaries(reader: Any) -> Figures:
    if not hasattr(reader, "summary"):
        return {}
    import polars as pl

    def fetch() -> object:
        columns = ["model", "provider", "input_tokens", "output_tokens", "latency_ms", "cost", "status"]
        return (
            reader.operations(columns=columns)
            .group_by("model")
            .agg(pl.len(), pl.col("input_tokens", "output_tokens", "cost").sum(), pl.col("latency_ms").quantile(0.95))
        )

    times: dict[str, list[float]] = {"summary": [], "fetching": []}
    for _ in range(_ROUNDS):
        for name, way in (("summary", lambda: reader.summary(by="model")), ("fetching", fetch)):
            begun = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - begun)
    summary, fetching = median(times["summary"]), median(times["fetching"])
    return {"summary_ms": summary * 1e3, "summary_ratio": summary / fetching}


if __name__ == "__main__":
    run(subject)
