"""What it costs to begin: the import, the handler, the first log call, and until the first row is stored."""

import time

from benchmarks.databases import new_database
from benchmarks.subjects.common import Figures, logger_of, run
from benchmarks.workload import fields


def subject() -> Figures:
    """Return milliseconds."""
    with new_database("sqlite") as url:
        moments = [time.perf_counter()]
        import aicore_sqllog

        moments.append(time.perf_counter())
        handler = aicore_sqllog.SQLLogHandler(url)
        moments.append(time.perf_counter())
        logger_of(handler, "first").info("llm call", extra=fields(0))
        moments.append(time.perf_counter())
        assert handler.flush(60)
        moments.append(time.perf_counter())
        handler.close()
    names = ("import", "handler", "first log call", "until it is stored")
    return {name: (moments[n + 1] - moments[n]) * 1e3 for n, name in enumerate(names)}


if __name__ == "__main__":
    run(subject)
