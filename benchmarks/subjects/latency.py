"""
How long until another connection sees a record: logged at an even rate, looked for every few milliseconds.
"""

import sqlite3
import threading
import time

from benchmarks.databases import new_database
from benchmarks.subjects.common import Figures, logger_of, percentiles, run
from benchmarks.workload import fields

_LOOK_EVERY = 0.004


def subject(rate: float, seconds: float = 4.0) -> Figures:
    """Return median and 99th percentile in milliseconds from the log call to visibility, with default options."""
    from aicore_sqllog import SQLLogHandler

    count = int(rate * seconds)
    logged: list[float] = []
    seen: list[tuple[float, int]] = []
    with new_database("sqlite") as url:
        handler = SQLLogHandler(url)
        log = logger_of(handler, "latency")
        log.info("first", extra=fields(0))
        handler.flush(60)

        def look() -> None:
            connection = sqlite3.connect(url.removeprefix("sqlite:///"))
            while not seen or seen[-1][1] < count:
                (rows,) = connection.execute("SELECT count(*) FROM llm_operations").fetchone()
                seen.append((time.perf_counter(), rows - 1))
                time.sleep(_LOOK_EVERY)

        looker = threading.Thread(target=look)
        looker.start()
        begun = time.perf_counter()
        for number in range(count):
            time.sleep(max(0.0, begun + number / rate - time.perf_counter()))
            logged.append(time.perf_counter())
            log.info("llm call", extra=fields(number))
        looker.join()
        handler.close()
    times, position = [], 0
    for moment, rows in seen:
        times += [moment - logged[number] for number in range(position, rows)]
        position = max(position, rows)
    median, p99 = percentiles([int(each * 1e9) for each in times], 1e-6)
    return {"median": median, "p99": p99}


if __name__ == "__main__":
    run(subject)
