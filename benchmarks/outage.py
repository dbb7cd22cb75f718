"""
What an outage costs the application: memory against the byte bound, and an event loop's lag.

    python benchmarks/outage.py [--records 600000]

The database is a port that accepts connections and never answers. Records of 10 KB are logged as fast
as it goes; then an event loop logs 500 records a second with no handler, with one whose database is
there (SQLite), and with one whose database is not, all in this one run.
"""

import argparse
import asyncio
import logging
import socket
import statistics
import tempfile
import time
from pathlib import Path

from aicore_sqllog import SQLLogHandler

QUEUE_BYTES = 64 * 1024**2


def resident_bytes() -> int:
    """Return the memory that this process has resident now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def black_hole() -> tuple[socket.socket, str]:
    """Return a socket that takes connections and answers nothing, and a URL that leads there."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)
    return listener, f"postgresql+psycopg2://u@127.0.0.1:{listener.getsockname()[1]}/d"


def measure_memory(records: int) -> None:
    """Log *records* of 10 KB into an outage; print the largest resident memory over what there was before."""
    listener, url = black_hole()
    handler = SQLLogHandler(url, overflow="drop_oldest", queue_size=10**9, queue_bytes=QUEUE_BYTES, shutdown_timeout=0)
    log = logger("memory", handler)
    fields = {"model": "m", "input_tokens": 1, "output_tokens": 1, "cost": 0.1, "messages": "x" * 10_000}
    log.info("warm up", extra={"llm": fields})
    before = largest = resident_bytes()
    began = time.perf_counter()
    for number in range(records):
        log.info("call", extra={"llm": {**fields, "action_id": str(number)}})
        if number % 1000 == 0:
            largest = max(largest, resident_bytes())
    seconds = time.perf_counter() - began
    stats = handler.stats()
    grown = max(largest, resident_bytes()) - before
    print(f"{records} records of 10 KB in {seconds:.1f} s ({seconds / records * 1e6:.1f} us each)")
    print(f"largest resident memory over the start: {grown / 2**20:.0f} MiB, {grown / QUEUE_BYTES:.2f} of queue_bytes")
    print(f"accepted {stats.accepted}, pending {stats.pending}, dropped {stats.dropped}: {stats.dropped_by_reason}")
    handler.close()
    listener.close()


async def measure_lag(log: logging.Logger, seconds: float) -> tuple[float, float]:
    """Return the 50th and the 99th percentile of the lag of a loop that logs 500 records a second, in milliseconds."""
    fields = {"model": "m", "input_tokens": 1, "messages": ["x" * 270] * 3}
    lags = []
    give_up_at = time.perf_counter() + seconds
    while time.perf_counter() < give_up_at:
        began = time.perf_counter()
        log.info("call", extra={"llm": fields})
        await asyncio.sleep(0.002)
        lags.append((time.perf_counter() - began - 0.002) * 1000)
    cuts = statistics.quantiles(lags, n=100)
    return cuts[49], cuts[98]


def logger(name: str, handler: logging.Handler) -> logging.Logger:
    """Return a logger with *handler* alone."""
    log = logging.getLogger(name)
    log.setLevel("INFO")
    log.propagate = False
    log.handlers = [handler]
    return log


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=600_000)
    parser.add_argument("--seconds", type=float, default=10, help="for each loop")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        listener, url = black_hole()
        up = SQLLogHandler(f"sqlite:///{folder}/llm.db")
        down = SQLLogHandler(url, overflow="drop_oldest", shutdown_timeout=0)
        print("an event loop's lag in ms       50 %     99 %")
        floor = None
        for name, handler in (("no handler", logging.NullHandler()), ("database up", up), ("database down", down)):
            median, high = asyncio.run(measure_lag(logger(name, handler), arguments.seconds))
            floor = floor or high
            print(f"{name:<24} {median:>10.2f} {high:>8.2f}   {high / floor:.2f} of no handler")
        up.close()
        down.close()
        listener.close()
    measure_memory(arguments.records)


if __name__ == "__main__":
    main()
