"""AiCore (package ``core-for-ai``): a row of each table and a commit, in the call."""

import os
import time

from benchmarks.databases import new_database
from benchmarks.subjects.common import Figures, Nothing, logger_of, percentiles, run, timed
from benchmarks.workload import fields


def subject(driver: str = "sqlite", operations: int = 300) -> Figures:
    """Return the call's cost in microseconds, operations a second, and rows read a second."""
    with new_database(driver) as url:
        os.environ |= {"CONNECTION_STRING": url, "OBSERVABILITY_DISABLE_JSON": "true"}
        from aicore.observability.collector import LlmOperationCollector

        collector = LlmOperationCollector()

        def call(number: int) -> None:
            given = fields(number)
            arguments = {"model": given["model"], "messages": given["messages"][:-1]}
            names = ("session_id", "workspace", "agent_id", "action_id", "input_tokens", "output_tokens", "cost")
            collector.record_completion(
                arguments,
                "completion",
                given["provider"],
                response=given["messages"][-1]["content"],
                latency_ms=float(given["latency_ms"]),
                extras=given["extras"],
                **{name: given[name] for name in names},
            )

        call(-1)
        log = logger_of(Nothing(), "floor")
        floor, _ = percentiles(timed(lambda number: log.info("llm call", extra=fields(number)), range(300)))
        begun = time.perf_counter()
        median, p99 = percentiles(timed(call, range(operations)))
        seconds = time.perf_counter() - begun
        LlmOperationCollector.polars_from_db()
        begun = time.perf_counter()
        rows = LlmOperationCollector.polars_from_db().height
        read = rows / (time.perf_counter() - begun)
        assert rows == operations + 1, f"it stored {rows} of {operations + 1} operations"
        return {"median": median, "p99": p99, "ratio": median / floor, "rate": operations / seconds, "read": read}


if __name__ == "__main__":
    run(subject)
