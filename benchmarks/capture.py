"""
What capture costs: llm_operation against logging by hand, and each redactor, in microseconds a call.

    python benchmarks/capture.py [ROUNDS]

Each figure is the median of the rounds, in which the candidates take turns. The log call's cost is that
of the calling thread; what the handler's thread does is measured apart, for it runs beside the application.
"""

import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from aicore_sqllog import SQLLogHandler, llm_operation, llm_session
from aicore_sqllog.capture.build import Defaults, RecordBuilder
from aicore_sqllog.capture.privacy import Privacy
from aicore_sqllog.capture.snapshot import Snapshot, take_snapshot
from aicore_sqllog.redactors import card_numbers, email_addresses, keys_and_tokens, phone_numbers, truncate

Task = Callable[[], object]

WORDS = (
    "The quarterly figures show that revenue in the northern region grew by 4.2 percent, while costs stayed flat; "
    "see order 2024-118 and the note of 3 May. Please summarise the three main reasons, and name a risk for each. "
)
SIZES = {"3 messages of 270 characters": (3, 270), "20 messages of 2 KB": (20, 2048)}
REDACTORS: dict[str, list[Callable[[str], object]]] = {
    "keys_and_tokens": [keys_and_tokens],
    "email_addresses": [email_addresses],
    "card_numbers": [card_numbers],
    "phone_numbers": [phone_numbers],
    "truncate(1000)": [truncate(1000)],
    "all five": [keys_and_tokens, email_addresses, card_numbers, phone_numbers, truncate(1000)],
    "one that does nothing": [lambda text: text],
}


def messages_of(count: int, length: int) -> list[dict[str, str]]:
    """Return a conversation of *count* messages, the last of them the model's."""
    text = (WORDS * (length // len(WORDS) + 1))[:length]
    return [{"role": "assistant" if number % 2 else "user", "content": text} for number in range(count)]


def medians(tasks: dict[str, Task], rounds: int, calls: int, after: Task = lambda: None) -> dict[str, float]:
    """Return the median time of a call of each task, in microseconds; the tasks take turns."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            begun = time.perf_counter()
            for _ in range(calls):
                task()
            times[name].append((time.perf_counter() - begun) / calls * 1e6)
            after()
    return {name: statistics.median(found) for name, found in times.items()}


def calls_of(log: logging.Logger, messages: list[dict[str, str]]) -> dict[str, Task]:
    """Return ways to log one call, all with the same fields."""
    asked, answered = messages[:-1], messages[-1]["content"]

    def by_hand() -> None:
        begun = time.perf_counter()
        latency = (time.perf_counter() - begun) * 1000
        fields: dict[str, Any] = {"provider": "p", "model": "m", "messages": asked, "response": answered}
        log.info("answered", extra={**fields, "session_id": "s", "input_tokens": 5, "latency_ms": latency})

    def by_operation() -> None:
        with llm_operation(log, provider="p", model="m", messages=asked) as op:
            op.record(answered)
            op.set(input_tokens=5)

    return {"by hand": by_hand, "llm_operation": by_operation}


def measure_calls(rounds: int) -> None:
    """Print what the log call costs on the calling thread."""
    print("llm_operation, on the calling thread (a handler attached, its thread asleep):")
    with tempfile.TemporaryDirectory() as folder:
        handler = SQLLogHandler(f"sqlite:///{Path(folder) / 'bench.db'}", flush_interval=3600, batch_size=10_000)
        log = logging.getLogger("benchmark")
        log.setLevel(logging.INFO)
        log.propagate = False
        log.addHandler(handler)
        for size, shape in SIZES.items():
            calls = 1000 if shape[0] == 3 else 20  # a megabyte that waits would wake the thread
            with llm_session("s"):
                found = medians(calls_of(log, messages_of(*shape)), rounds, calls, after=handler.flush)
            added = found["llm_operation"] - found["by hand"]
            print(f"  {size:30}" + "".join(f"  {name} {value:6.1f} us" for name, value in found.items()), end="")
            print(f"  added {added:5.1f} us")
        handler.close()


def snapshot_of(messages: list[dict[str, str]]) -> Snapshot:
    """Return what the log call takes of a record with *messages*."""
    extra = {"provider": "p", "model": "m", "messages": messages, "input_tokens": 5}
    record = logging.getLogger("benchmark").makeRecord("benchmark", 20, "", 0, "answered", (), None, None, extra)
    snapshot = take_snapshot(record)
    assert snapshot is not None
    return snapshot


def measure_redactors(rounds: int) -> None:
    """Print what each redactor adds to the building of a record on the handler's thread."""
    print("Redactors, on the handler's thread, a record:")
    for size, shape in SIZES.items():
        snapshot = snapshot_of(messages_of(*shape))
        rules = {"no redactor": Privacy(), "capture_content=False": Privacy(captures_content=False)}
        rules |= {name: Privacy(redactors=functions) for name, functions in REDACTORS.items()}
        builders = {name: RecordBuilder(Defaults(), privacy) for name, privacy in rules.items()}
        tasks: dict[str, Task] = {name: partial(builder.build, snapshot) for name, builder in builders.items()}
        found = medians(tasks, rounds, 200 if shape[0] == 3 else 20)
        base = found["no redactor"]
        print(f"  {size}: {base:.1f} us without")
        for name in list(tasks)[1:]:
            print(f"    {name:24} {found[name] - base:+9.1f} us")


if __name__ == "__main__":
    turns = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    measure_calls(turns)
    measure_redactors(turns)
