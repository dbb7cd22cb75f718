"""MLflow's tracing, into SQLite: a span a call, exported in the background."""

import os
import tempfile
import time
from pathlib import Path

from benchmarks.subjects.common import Figures, Nothing, logger_of, percentiles, run, timed
from benchmarks.workload import fields


def subject(operations: int = 300) -> Figures:
    """Return the call's cost in microseconds, and operations a second until all are stored."""
    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # where it puts its artifacts
        mlflow.set_tracking_uri(f"sqlite:///{Path(folder) / 'mlflow.db'}")
        mlflow.set_experiment("bench")

        def call(number: int) -> None:
            given = fields(number)
            with mlflow.start_span("completion", span_type="LLM") as span:
                span.set_inputs({"messages": given["messages"][:-1]})
                span.set_outputs(given["messages"][-1])
                span.set_attributes({name: given[name] for name in given if name != "messages"})

        call(-1)
        mlflow.flush_trace_async_logging()
        log = logger_of(Nothing(), "floor")
        floor, _ = percentiles(timed(lambda number: log.info("llm call", extra=fields(number)), range(300)))
        begun = time.perf_counter()
        median, p99 = percentiles(timed(call, range(operations)))
        mlflow.flush_trace_async_logging()
        seconds = time.perf_counter() - begun
        return {"median": median, "p99": p99, "ratio": median / floor, "rate": operations / seconds}


if __name__ == "__main__":
    run(subject)
