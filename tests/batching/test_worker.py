"""The worker, with no database: when a batch is due, what the bounds do, and the counts."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from aicore_sqllog.batching.clock import monotonic
from aicore_sqllog.batching.counts import Outcome
from tests.support.batching import Line, TestSink, balanced, inside_the_lock, without_threads
from tests.support.processes import wait_until


def test_a_full_batch_is_written_at_once() -> None:
    sink = TestSink()
    line = Line(sink, batch_size=3)
    for item in range(7):
        line.put(item, 1)
    wait_until(lambda: line.counts().committed == 6)
    assert line.counts().pending == 1
    assert line.flush(30)
    assert sink.batches == [[0, 1, 2], [3, 4, 5], [6]]


def test_bytes_make_a_batch_due_and_cut_it() -> None:
    sink = TestSink()
    line = Line(sink, batch_bytes=100)
    for item, size in enumerate([40, 40, 40, 500, 1]):
        line.put(item, size)
    assert line.flush(30)
    assert sink.items() == [0, 1, 2, 3, 4]
    assert [3] in sink.batches, "an item larger than a batch goes alone"
    assert max(len(batch) for batch in sink.batches) <= 2


def test_time_makes_a_batch_due() -> None:
    sink = TestSink()
    line = Line(sink, flush_interval=0.01)
    line.put("only", 1)
    wait_until(lambda: sink.batches == [["only"]])


def test_flush_waits_for_what_is_in_flight_and_tells_when_time_is_over() -> None:
    sink = TestSink()
    line = Line(sink)
    sink.gate.clear()
    line.put(1, 1)
    assert line.flush(0.05) is False
    assert line.counts().pending == 1
    sink.gate.set()
    assert line.flush(30) is True
    assert line.flush(0) is True, "nothing waits"


def test_one_thread_with_a_name_started_by_the_first_item_and_ended_by_stop() -> None:
    line = Line()

    def named() -> list[threading.Thread]:
        return [
            thread for thread in threading.enumerate() if thread.name == "test-worker" and thread is line.worker.thread
        ]

    assert line.worker.thread is None
    for item in range(100):
        line.put(item, 1)
    (thread,) = named()
    assert thread.daemon
    assert thread.name == "test-worker"
    assert line.stop(30)
    thread.join(30)
    assert line.worker.thread is None
    assert line.sink.closed == 1
    line.put("again", 1)
    assert line.stop(30)
    assert line.counts().committed == 101


def test_a_worker_that_nobody_holds_any_more_goes_with_its_thread_when_it_is_stopped() -> None:
    line = Line()
    line.put("item", 1)
    line.buffer.stop()
    thread, worker = line.worker.thread, weakref.ref(line.worker)
    assert thread is not None
    sink = line.sink
    del line
    thread.join(30)
    gc.collect()
    assert worker() is None
    assert sink.items() == ["item"]


@pytest.mark.parametrize(
    ("overflow", "kept"),
    [("drop_newest", [0, 1, 2, 3]), ("drop_oldest", [0, 97, 98, 99])],
)
def test_past_the_bound_the_policy_decides_and_every_drop_is_counted(overflow: Any, kept: list[int]) -> None:
    sink = TestSink()
    sink.gate.clear()
    line = Line(sink, queue_size=3, batch_size=1, overflow=overflow)
    line.put(0, 1)
    assert sink.entered.wait(30)
    wait_until(lambda: line.counts().pending == 1)
    for item in range(1, 100):
        line.put(item, 1)
        assert balanced(line.counts())
    sink.gate.set()
    assert line.flush(30) is False, "records were dropped"
    assert line.flush(30) is True, "and that was said"
    assert sink.items() == kept
    assert line.counts().dropped == {"queue_full": 96}


def test_bytes_bound_the_queue_too() -> None:
    sink = TestSink()
    sink.gate.clear()
    line = Line(sink, queue_bytes=100, batch_size=1, overflow="drop_newest")
    line.put("in flight", 90)
    assert sink.entered.wait(30)
    wait_until(lambda: line.counts().pending == 1)
    for item in range(4):
        line.put(item, 40)
    books = line.counts()
    sink.gate.set()
    assert books.dropped == {"queue_full": 2}
    assert books.pending_bytes == 170


def test_block_waits_for_room_and_loses_nothing() -> None:
    sink = TestSink()
    sink.gate.clear()
    line = Line(sink, queue_size=2, batch_size=1, block_seconds=60)

    def produce() -> None:
        for item in range(50):
            line.put(item, 1)

    producer = threading.Thread(target=produce)
    producer.start()
    assert sink.entered.wait(30)
    wait_until(lambda: line.counts().pending == 3)
    assert producer.is_alive()
    sink.gate.set()
    producer.join(30)
    assert line.flush(30)
    assert sink.items() == list(range(50))


def test_block_gives_up_in_time_and_never_blocks_a_running_loop() -> None:
    sink = TestSink()
    sink.gate.clear()
    line = Line(sink, queue_size=1, batch_size=1, block_seconds=0.01)
    line.put("in flight", 1)
    assert sink.entered.wait(30)
    wait_until(lambda: line.counts().pending == 1)
    line.put("waits", 1)
    line.put("dropped", 1)

    async def log() -> None:
        line.put("dropped on the loop", 1)

    asyncio.run(log())
    assert line.counts().dropped == {"queue_full": 1, "event_loop": 1}
    sink.gate.set()
    line.flush(30)
    assert balanced(line.counts())


def test_a_failed_batch_is_tried_again_in_order_and_told() -> None:
    sink = TestSink()
    sink.faults = [OSError("one"), ValueError("two")]
    line = Line(sink)
    for item in range(3):
        line.put(item, 1)
    assert line.flush(60)
    assert sink.batches == [[0, 1, 2]]
    assert sink.attempts == [1, 2, 3]
    assert sink.failures == [("one", 3, 1), ("two", 3, 2)]
    assert line.counts().retries == 2


def test_a_batch_is_prepared_once_however_often_it_is_written() -> None:
    sink = TestSink()
    sink.faults = [OSError("one"), OSError("two"), OSError("three")]
    line = Line(sink)
    for item in range(3):
        line.put(item, 1)
    assert line.flush(60)
    assert sink.prepared == 3


@pytest.mark.parametrize("where", ["failed", "settled", "prepare"])
def test_a_report_that_raises_does_not_stop_the_worker(where: str) -> None:
    class Raises(TestSink):
        def __getattribute__(self, name: str) -> Any:
            if name == where and not self.__dict__["raised"]:
                self.raised = True
                return complain
            return super().__getattribute__(name)

        def __init__(self) -> None:
            self.raised = False
            super().__init__()

    def complain(*_: object) -> None:
        raise RuntimeError("the report")

    sink = Raises()
    sink.faults = [OSError("one")]
    line = Line(sink)
    line.put(1, 1)
    assert line.flush(60)
    assert sink.raised
    assert sink.batches == [[1]]


@pytest.mark.parametrize("fault", [SystemExit(), KeyboardInterrupt(), GeneratorExit(), MemoryError()])
def test_the_thread_outlives_whatever_is_thrown_and_keeps_its_batch(fault: BaseException) -> None:
    sink = TestSink()
    sink.faults = [fault]
    line = Line(sink)
    line.put(1, 1)
    assert line.flush(30)
    assert sink.batches == [[1]]
    assert balanced(line.counts())


def test_an_item_put_from_within_the_lock_is_taken() -> None:
    """As a signal handler or a destructor does that logs while this thread is in the buffer's lock."""
    sink = TestSink()
    line = Line(sink)
    with inside_the_lock(line.buffer):
        line.put("nested", 1)
    assert line.flush(30)
    assert sink.batches == [["nested"]]


def test_an_outcome_that_does_not_add_up_settles_nothing() -> None:
    sink = TestSink()
    sink.outcomes = [Outcome(0), Outcome(1, duplicate=1), Outcome(2, duplicate=1)]
    line = Line(sink, choose_pause=lambda longest: 0.0)
    for item in range(3):
        line.put(item, 1)
    assert line.flush(30)
    counts = line.counts()
    assert (counts.committed, counts.duplicate, counts.retries) == (2, 1, 2)
    assert balanced(counts)


def test_losses_are_stored_after_the_next_batch_and_once() -> None:
    sink = TestSink()
    sink.faults = [OSError("away")]
    line = Line(sink, choose_pause=lambda longest: 0.0)
    line.buffer.refuse("untaken")
    line.buffer.refuse("untaken")
    line.put(1, 1)
    assert line.flush(30) is False
    line.put(2, 1)
    assert line.flush(30) is True
    line.stop(30)
    assert [(loss.reason, loss.count) for loss in sink.losses] == [("untaken", 2)]


def test_losses_that_cannot_be_stored_hold_no_batch_and_are_kept_by_reason_not_by_batch() -> None:
    sink = TestSink()
    sink.loss_faults = [OSError("no such table") for _ in range(50)]
    line = Line(sink)
    for number in range(50):
        line.buffer.refuse("untaken")
        line.put(number, 1)
        line.flush(30)
    assert line.counts().committed == 50
    line.stop(30)
    wait_until(lambda: sum(loss.count for loss in sink.losses) == 50)
    assert len(sink.losses) == 2


def test_what_the_last_batch_lost_is_stored_without_waiting_for_another() -> None:
    sink = TestSink()
    sink.outcomes = [Outcome(1, dropped=1)]
    line = Line(sink)
    for item in range(2):
        line.put(item, 1)
    assert line.flush(30) is False
    wait_until(lambda: [(loss.reason, loss.count) for loss in sink.losses] == [("unstorable", 1)])
    assert line.counts().dropped == {"unstorable": 1}
    assert sink.reported[-1].dropped == {"unstorable": 1}


def test_losses_without_a_batch_are_stored_when_the_thread_ends() -> None:
    line = Line()
    line.put(1, 1)
    assert line.flush(30)
    line.buffer.refuse("untaken")
    line.stop(30)
    assert [(loss.reason, loss.count) for loss in line.sink.losses] == [("untaken", 1)]


def test_a_flush_on_the_thread_that_writes_returns_at_once() -> None:
    class Asks(TestSink):
        answers: list[bool]

        def failed(self, *_: object) -> None:
            self.answers.append(line.flush(3_600))

    sink = Asks()
    sink.answers = []
    sink.faults = [OSError("away")]
    line = Line(sink)
    line.put(1, 1)
    assert line.flush(30)
    assert sink.answers == [False]


def without_pauses(longest: list[float]) -> Callable[[float], float]:
    """Return what chooses no pause, and notes in *longest* how long each might have been."""

    def choose(seconds: float) -> float:
        longest.append(seconds)
        return 0.0

    return choose


def tomorrow(longest: float) -> float:
    return 86_400.0


def pausing_for_ever(sink: TestSink) -> Line:
    """Return a line whose first attempt failed; it would make the next one tomorrow."""
    sink.faults = [OSError("away")]
    line = Line(sink, choose_pause=tomorrow)
    line.put(1, 1)
    assert line.flush(0) is False
    wait_until(lambda: line.counts().retries == 1)
    return line


@pytest.mark.parametrize("how", ["flush", "stop", "begin_flush"])
def test_a_flush_ends_the_pause_after_a_failed_attempt(how: str) -> None:
    """The database may be back, and the process at its end: it would be too late tomorrow."""
    sink = TestSink()
    line = pausing_for_ever(sink)
    settled = threading.Event()
    if how == "begin_flush":
        line.buffer.begin_flush(settled.set)
        assert settled.wait(30)
    else:
        assert getattr(line, how)(30) is True
    assert sink.batches == [[1]]


def test_while_a_flush_waits_no_pause_is_long() -> None:
    sink = TestSink()
    longest: list[float] = []
    line = Line(sink, choose_pause=without_pauses(longest))
    sink.faults = [OSError("away") for _ in range(20)]
    line.put(1, 1)
    assert line.flush(60)
    assert len(longest) >= 19
    assert max(longest) <= 0.5


def test_pauses_grow_to_a_bound_where_nobody_waits() -> None:
    sink = TestSink()
    longest: list[float] = []
    line = Line(sink, flush_interval=0.001, choose_pause=without_pauses(longest))
    sink.faults = [OSError("away") for _ in range(2_000)]
    line.put(1, 1)
    wait_until(lambda: line.counts().committed == 1)
    assert longest[:3] == [0.2, 0.4, 0.8]
    assert max(longest) == longest[-1] == 30.0


def test_an_ended_thread_leaves_its_number_to_whom_the_system_gives_it() -> None:
    line = Line(TestSink())
    for _ in range(20):
        line.put(1, 1)
        assert line.stop(30)
        wait_until(lambda: line.worker.thread_id == 0)
    assert line.counts().committed == 20


def test_two_who_flush_where_no_thread_can_be_started_write_each_item_once() -> None:
    """As at the end of an interpreter that starts no threads any more."""
    line = Line(batch_size=2)
    flushers = [threading.Thread(target=line.flush, args=(30,)) for _ in range(4)]
    with without_threads():
        for item in range(100):
            line.put(item, 1)
        for flusher in flushers:
            flusher.start()
        for flusher in flushers:
            flusher.join(60)
    assert line.sink.items() == list(range(100))
    assert line.counts().committed == 100
    assert balanced(line.counts())


def test_a_flush_without_a_thread_is_over_when_its_time_is() -> None:
    sink = TestSink()
    sink.gate.clear()
    line = Line(sink)
    with without_threads():
        line.put(1, 1)
        other = threading.Thread(target=line.flush, args=(30,))  # writes, and does not come back
        other.start()
        assert sink.entered.wait(30)
        assert line.flush(0.05) is False
        sink.gate.set()
        other.join(30)
    assert line.flush(30) is True


def test_another_flush_goes_on_with_the_attempts_that_the_one_before_had_no_time_for() -> None:
    """The first may have been committed: who begins at 1 again would not look."""
    sink = TestSink()
    sink.faults = [OSError("the outcome is unknown")]
    line = Line(sink, choose_pause=tomorrow)
    with without_threads():
        line.put(1, 1)
        assert line.flush(0.05) is False
        assert line.flush(30) is True
    assert sink.attempts == [1, 2]


def test_deadlines_and_batches_do_not_depend_on_a_clock_that_a_test_freezes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("time", "monotonic", "perf_counter"):
        monkeypatch.setattr(f"time.{name}", lambda: 1.0)
    line = Line(flush_interval=0.01)
    line.put("only", 1)
    give_up_at = monotonic() + 30
    while line.sink.batches != [["only"]]:
        assert monotonic() < give_up_at
        line.sink.entered.wait(0.01)


def test_a_small_queue_is_written_when_it_is_full() -> None:
    line = Line(TestSink(), queue_size=10)
    for item in range(100):
        line.put(item, 1)  # waits for room, and nothing but that makes a batch due
    assert line.flush(30)
    assert line.counts().committed == 100
