"""The worker, with no database: when a batch is due, what the bounds do, and the books."""

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from aicore_sqllog.batching.counts import Books, Outcome
from aicore_sqllog.batching.limits import Limits
from aicore_sqllog.batching.worker import BatchWorker
from tests.support.processes import wait_until


class Sink:
    """Keeps what is written; a gate holds it, and faults make attempts fail."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.attempts: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.faults: list[BaseException] = []
        self.entered = threading.Event()

    def items(self) -> list[Any]:
        return [item for batch in self.batches for item in batch]

    def __call__(self, items: Sequence[Any], attempt: int) -> Outcome:
        self.attempts.append(attempt)
        self.entered.set()
        assert self.gate.wait(30)
        if self.faults:
            raise self.faults.pop(0)
        self.batches.append(list(items))
        return Outcome(len(items))


class Plain:
    """Items of which the queue can do nothing but keep them."""

    def lighten(self, item: Any) -> None:
        return None

    def unload(self, item: Any) -> None:
        return None

    def load(self, item: Any, packed: bytes) -> Any:
        raise AssertionError("nothing was unloaded")


def make(sink: Sink, **limits: Any) -> BatchWorker[Any]:
    limited = Limits(**{"flush_interval": 3600, **limits})
    return BatchWorker(sink, name="test-worker", limits=limited, cargo=Plain())


def balanced(books: Books) -> bool:
    settled = books.committed + books.duplicate + books.dead_lettered + books.dropped.total()
    return books.accepted == settled + books.pending


def test_a_full_batch_is_written_at_once() -> None:
    sink = Sink()
    worker = make(sink, batch_size=3)
    for item in range(7):
        worker.put(item, 1)
    wait_until(lambda: worker.books().committed == 6)
    assert worker.books().pending == 1
    assert worker.flush(30)
    assert sink.batches == [[0, 1, 2], [3, 4, 5], [6]]


def test_bytes_make_a_batch_due_and_cut_it() -> None:
    sink = Sink()
    worker = make(sink, batch_bytes=100)
    for item, size in enumerate([40, 40, 40, 500, 1]):
        worker.put(item, size)
    assert worker.flush(30)
    assert sink.items() == [0, 1, 2, 3, 4]
    assert [3] in sink.batches, "an item larger than a batch goes alone"
    assert max(len(batch) for batch in sink.batches) <= 2


def test_time_makes_a_batch_due() -> None:
    sink = Sink()
    worker = make(sink, flush_interval=0.01)
    worker.put("only", 1)
    wait_until(lambda: sink.batches == [["only"]])


def test_flush_waits_for_what_is_in_flight_and_tells_when_time_is_over() -> None:
    sink = Sink()
    worker = make(sink)
    sink.gate.clear()
    worker.put(1, 1)
    assert worker.flush(0.05) is False
    assert worker.books().pending == 1
    sink.gate.set()
    assert worker.flush(30) is True
    assert worker.flush(0) is True, "nothing waits"


def test_one_thread_with_a_name_started_by_the_first_item_and_ended_by_stop() -> None:
    worker = BatchWorker(Sink(), name="named-worker", limits=Limits(), cargo=Plain())

    def named() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name == "named-worker"]

    assert named() == []
    for item in range(100):
        worker.put(item, 1)
    (thread,) = named()
    assert thread.daemon
    assert worker.stop(30)
    thread.join(30)
    assert named() == []
    worker.put("again", 1)
    assert worker.stop(30)
    assert worker.books().committed == 101


@pytest.mark.parametrize(
    ("overflow", "kept"),
    [("drop_newest", [0, 1, 2, 3]), ("drop_oldest", [0, 97, 98, 99])],
)
def test_past_the_bound_the_policy_decides_and_every_drop_is_counted(overflow: Any, kept: list[int]) -> None:
    sink = Sink()
    sink.gate.clear()
    worker = make(sink, queue_size=3, batch_size=1, overflow=overflow)
    worker.put(0, 1)
    assert sink.entered.wait(30)
    wait_until(lambda: worker.books().pending == 1)
    for item in range(1, 100):
        worker.put(item, 1)
        assert balanced(worker.books())
    sink.gate.set()
    assert worker.flush(30) is False, "records were dropped"
    assert worker.flush(30) is True, "and that was said"
    assert sink.items() == kept
    assert worker.books().dropped == {"queue_full": 96}


def test_bytes_bound_the_queue_too() -> None:
    sink = Sink()
    sink.gate.clear()
    worker = make(sink, queue_bytes=100, batch_size=1, overflow="drop_newest")
    worker.put("in flight", 90)
    assert sink.entered.wait(30)
    wait_until(lambda: worker.books().pending == 1)
    for item in range(4):
        worker.put(item, 40)
    books = worker.books()
    sink.gate.set()
    assert books.dropped == {"queue_full": 2}
    assert books.pending_bytes == 170


def test_block_waits_for_room_and_loses_nothing() -> None:
    sink = Sink()
    sink.gate.clear()
    worker = make(sink, queue_size=2, batch_size=1, block_seconds=60)

    def produce() -> None:
        for item in range(50):
            worker.put(item, 1)

    producer = threading.Thread(target=produce)
    producer.start()
    assert sink.entered.wait(30)
    wait_until(lambda: worker.books().pending == 3)
    assert producer.is_alive()
    sink.gate.set()
    producer.join(30)
    assert worker.flush(30)
    assert sink.items() == list(range(50))


def test_block_gives_up_in_time_and_never_blocks_a_running_loop() -> None:
    sink = Sink()
    sink.gate.clear()
    worker = make(sink, queue_size=1, batch_size=1, block_seconds=0.01)
    worker.put("in flight", 1)
    assert sink.entered.wait(30)
    wait_until(lambda: worker.books().pending == 1)
    worker.put("waits", 1)
    worker.put("dropped", 1)

    async def log() -> None:
        worker.put("dropped on the loop", 1)

    asyncio.run(log())
    assert worker.books().dropped == {"queue_full": 1, "event_loop": 1}
    sink.gate.set()
    worker.flush(30)
    assert balanced(worker.books())


def test_a_failed_batch_is_tried_again_in_order_and_told() -> None:
    told: list[tuple[str, int, int]] = []
    sink = Sink()
    sink.faults = [OSError("one"), ValueError("two")]
    worker = BatchWorker(
        sink,
        name="test-worker",
        limits=Limits(flush_interval=3600),
        cargo=Plain(),
        on_failure=lambda exc, count, attempt: told.append((str(exc), count, attempt)),
    )
    for item in range(3):
        worker.put(item, 1)
    assert worker.flush(60)
    assert sink.batches == [[0, 1, 2]]
    assert sink.attempts == [1, 2, 3]
    assert told == [("one", 3, 1), ("two", 3, 2)]
    assert worker.books().retries == 2


def test_a_callback_that_raises_does_not_stop_the_worker() -> None:
    sink = Sink()
    sink.faults = [OSError("one")]

    def complain(exc: BaseException, count: int, attempt: int) -> None:
        raise RuntimeError("the callback")

    limits = Limits(flush_interval=3600)
    worker = BatchWorker(sink, name="test-worker", limits=limits, cargo=Plain(), on_failure=complain)
    worker.put(1, 1)
    assert worker.flush(60)


@pytest.mark.parametrize("fault", [SystemExit(), KeyboardInterrupt(), GeneratorExit(), MemoryError()])
def test_the_thread_outlives_whatever_is_thrown_and_keeps_its_batch(fault: BaseException) -> None:
    sink = Sink()
    sink.faults = [fault]
    worker = make(sink)
    worker.put(1, 1)
    assert worker.flush(30)
    assert sink.batches == [[1]]
    assert balanced(worker.books())


def test_an_item_put_from_within_the_lock_is_taken() -> None:
    """As a signal handler or a destructor does that logs while this thread is in the worker's lock."""
    sink = Sink()
    worker = make(sink)
    with worker._intake.locked():
        worker.put("nested", 1)
        assert worker._books.accepted == 0
    assert worker.flush(30)
    assert sink.batches == [["nested"]]


def test_an_outcome_that_does_not_add_up_settles_nothing() -> None:
    outcomes = iter([Outcome(0), Outcome(1, duplicate=1), Outcome(2, duplicate=1)])
    limits = Limits(flush_interval=3600)
    worker: BatchWorker[int] = BatchWorker(
        lambda items, attempt: next(outcomes), name="test-worker", limits=limits, cargo=Plain()
    )
    for item in range(3):
        worker.put(item, 1)
    assert worker.flush(30)
    assert (worker.books().committed, worker.books().duplicate, worker.books().retries) == (2, 1, 2)
    assert balanced(worker.books())


def without_pauses(worker: BatchWorker[Any]) -> list[float]:
    """Have *worker* make no pause; return the list of how long each might have been at most."""
    longest: list[float] = []

    def uniform(a: float, b: float) -> float:
        longest.append(b)
        return 0.0

    worker._jitter.uniform = uniform  # type: ignore[method-assign]
    return longest


def pausing_for_ever(sink: Sink) -> BatchWorker[Any]:
    """Return a worker whose first attempt failed; it would make the next one tomorrow."""
    sink.faults = [OSError("away")]
    worker = make(sink)
    worker._jitter.uniform = lambda a, b: 86_400.0  # type: ignore[method-assign]
    worker.put(1, 1)
    assert worker.flush(0) is False
    wait_until(lambda: worker.books().retries == 1)
    return worker


@pytest.mark.parametrize("how", ["flush", "stop", "request_flush"])
def test_a_flush_ends_the_pause_after_a_failed_attempt(how: str) -> None:
    """The database may be back, and the process at its end: it would be too late tomorrow."""
    sink = Sink()
    worker = pausing_for_ever(sink)
    settled = threading.Event()
    if how == "request_flush":
        worker.request_flush(settled.set)
        assert settled.wait(30)
    else:
        assert getattr(worker, how)(30) is True
    assert sink.batches == [[1]]


def test_while_a_flush_waits_no_pause_is_long() -> None:
    sink = Sink()
    worker = make(sink)
    longest = without_pauses(worker)
    sink.faults = [OSError("away") for _ in range(20)]
    worker.put(1, 1)
    assert worker.flush(60)
    assert len(longest) >= 19
    assert max(longest) <= 0.5


def test_pauses_grow_to_a_bound_where_nobody_waits() -> None:
    sink = Sink()
    worker = make(sink, flush_interval=0.001)
    longest = without_pauses(worker)
    sink.faults = [OSError("away") for _ in range(2_000)]
    worker.put(1, 1)
    wait_until(lambda: worker.books().committed == 1)
    assert longest[:3] == [0.2, 0.4, 0.8]
    assert max(longest) == longest[-1] == 30.0


def test_an_ended_thread_leaves_its_number_to_whom_the_system_gives_it() -> None:
    worker = make(Sink())
    for _ in range(20):
        worker.put(1, 1)
        assert worker.stop(30)
        wait_until(lambda: worker.thread_id == 0)
    assert worker.books().committed == 20


def test_two_who_flush_where_no_thread_can_be_started_write_each_item_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As at the end of an interpreter that starts no threads any more."""
    sink = Sink()
    worker = make(sink, batch_size=2)
    flushers = [threading.Thread(target=worker.flush, args=(30,)) for _ in range(4)]
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "test-worker":
            raise RuntimeError("can't create new thread at interpreter shutdown")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    for item in range(100):
        worker.put(item, 1)
    for flusher in flushers:
        flusher.start()
    for flusher in flushers:
        flusher.join(60)
    assert sink.items() == list(range(100))
    assert worker.books().committed == 100
    assert balanced(worker.books())


def test_a_flush_without_a_thread_is_over_when_its_time_is() -> None:
    worker = make(Sink())
    worker._desk.acquire()  # somebody else writes, and does not come back
    worker._start_again_at = time.monotonic() + 1_000
    worker.put(1, 1)
    assert worker.flush(0.05) is False
    worker._desk.release()
    worker._start_again_at = 0.0
    assert worker.flush(30) is True


def test_another_flush_goes_on_with_the_attempts_that_the_one_before_had_no_time_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first may have been committed: who begins at 1 again would not look."""
    sink = Sink()
    sink.faults = [OSError("the outcome is unknown")]
    worker = make(sink)
    worker._start_again_at = time.monotonic() + 1_000  # no thread can be started
    worker._jitter.uniform = lambda a, b: 86_400.0  # type: ignore[method-assign]
    worker.put(1, 1)
    assert worker.flush(0.05) is False
    assert worker.flush(30) is True
    assert sink.attempts == [1, 2]


def test_a_small_queue_is_written_when_it_is_full() -> None:
    worker = make(Sink(), queue_size=10)
    for item in range(100):
        worker.put(item, 1)  # waits for room, and nothing but that makes a batch due
    assert worker.flush(30)
    assert worker.books().committed == 100
