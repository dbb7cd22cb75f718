"""The buffer: a log call waits for no thread, whatever holds the lock, and nothing is lost on the way in."""

import gc
import itertools
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aicore_sqllog.batching import buffer as buffer_module
from aicore_sqllog.batching.buffer import Buffer
from tests.conftest import ROOT
from tests.support.batching import Line, TestSink, balanced, inside_the_lock, without_threads
from tests.support.processes import run_python, wait_until


class Holder:
    """A thread that holds the lock of a buffer until it is told to let go."""

    def __init__(self, buffer: Buffer[Any]) -> None:
        self._held, self._done = threading.Event(), threading.Event()
        self._buffer = buffer
        self._thread = threading.Thread(target=self._hold)

    def _hold(self) -> None:
        with inside_the_lock(self._buffer):
            self._held.set()
            assert self._done.wait(60)

    def __enter__(self) -> None:
        self._thread.start()
        assert self._held.wait(30)

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(30)


@pytest.mark.parametrize("overflow", ["block", "drop_oldest", "drop_newest"])
def test_an_item_is_accepted_while_another_thread_holds_the_lock_and_taken_in_when_it_leaves(overflow: Any) -> None:
    sink = TestSink()
    line = Line(sink, overflow=overflow)
    with Holder(line.buffer):
        for item in range(50):
            line.put(item, 1)  # would hang here
    wait_until(lambda: line.counts().accepted == 50)
    assert line.counts().pending == 50
    assert line.flush(30)
    assert sink.items() == list(range(50))


def test_what_was_handed_off_before_the_counts_are_read_or_a_flush_begins_is_in_them() -> None:
    line = Line()
    line.put("first, which the thread takes in", 1)
    wait_until(lambda: line.counts().accepted == 1)
    line.put("second, which nobody has taken in", 1)
    assert line.counts().accepted == 2
    line.put("third", 1)
    assert line.flush(30)
    assert line.counts().committed == 3


@pytest.mark.parametrize("item_size", [1, 20_000])
def test_what_is_only_handed_off_stays_within_the_stated_excess(item_size: int) -> None:
    """No thread writes, and nothing makes a batch due: only log calls take in."""
    line = Line(queue_size=1_000, queue_bytes=10 * 1024**2, batch_size=100, overflow="drop_newest")
    with without_threads():
        for item in range(5_000):
            line.put(item, item_size)
        counts = line.counts()
    assert counts.pending <= 1_000 + 64
    assert counts.pending_bytes <= 11 * 1024**2
    assert counts.pending == min(1_000, 10 * 1024**2 // item_size)
    assert balanced(counts)


def test_who_brings_much_waits_for_the_lock_but_not_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffer_module, "_MUCH_SECONDS", 0.001)
    line = Line(batch_size=4)
    with Holder(line.buffer):
        for item in range(300):
            line.put(item, 1)
    assert line.flush(30)
    assert line.counts().committed == 300


def test_many_threads_lose_nothing_and_keep_their_order() -> None:
    sink = TestSink()
    line = Line(sink, batch_size=10, queue_size=10**6)

    def produce(thread: int) -> None:
        for number in range(3_000):
            line.put((thread, number), 1)

    threads = [threading.Thread(target=produce, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert balanced(line.counts())
    assert line.flush(60)
    for thread_number in range(8):
        own = [number for thread, number in sink.items() if thread == thread_number]
        assert own == list(range(3_000))


def test_nobody_is_overtaken_for_ever_where_room_is_scarce() -> None:
    """Eight threads, room for one: each gets its turn long before it gives up."""
    sink = TestSink()
    line = Line(sink, batch_size=1, queue_size=1, block_seconds=20)

    def produce() -> None:
        for number in range(200):
            line.put(number, 1)

    threads = [threading.Thread(target=produce) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert line.flush(60)
    assert line.counts().dropped == {}
    assert len(sink.items()) == 1_600


@contextmanager
def alarms(on_alarm: Callable[[], None]) -> Iterator[None]:
    """Interrupt this thread all the time: each time *on_alarm* has ended, or raised, soon again."""
    chance = random.Random(0)

    def set_alarm() -> None:
        signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.00001, 0.0003))

    def handle(number: int, frame: object) -> None:
        try:
            on_alarm()
        finally:
            set_alarm()

    before = signal.signal(signal.SIGALRM, handle)
    set_alarm()
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)  # before the timer is off another may come
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def interrupt_log_calls(interrupts: int) -> None:
    """Send this thread so many Ctrl-C in the middle of log calls, and look at the lock and at the counts."""
    gc.disable()  # else some would come in the destructors of others
    sink = TestSink()
    line = Line(sink, queue_size=10**7)
    line.put("first", 1)
    sent, returned = 0, 1
    may_raise = False

    def interrupt() -> None:
        if may_raise:
            raise KeyboardInterrupt

    with alarms(interrupt):
        while sent < interrupts:
            try:
                may_raise = True
                while True:
                    line.put("item", 1)
                    returned += 1
            except KeyboardInterrupt:
                may_raise = False
                sent += 1
            if sent % 100 == 0:
                assert line.flush(60), "the lock was left held"
    counts = line.counts()
    assert balanced(counts)
    assert returned <= counts.accepted <= returned + sent
    assert line.flush(60)
    assert line.counts().committed == counts.accepted == len(sink.items())


@pytest.mark.long
def test_a_control_c_anywhere_in_a_log_call_leaves_the_lock_free_and_the_counts_in_balance(tmp_path: Path) -> None:
    script = "from tests.batching.test_buffer import interrupt_log_calls; interrupt_log_calls(1_000)"
    done = run_python("-c", script, cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("overflow", ["block", "drop_oldest", "drop_newest"])
def test_a_signal_handler_that_logs_while_its_thread_flushes_hangs_nobody(overflow: Any) -> None:
    """It may interrupt the flush where that holds what the worker wants, and find no room in the queue."""
    line = Line(TestSink(), queue_size=2, batch_size=1, overflow=overflow, block_seconds=0.2)
    heard = itertools.count()

    def log() -> None:
        next(heard)
        for _ in range(3):
            line.put("from the signal handler", 1)

    with alarms(log):
        for _ in range(1_000):
            line.put("item", 1)
            line.flush(30)
    assert next(heard) > 20
    assert balanced(line.counts())


def test_a_flush_from_a_signal_handler_that_interrupts_its_own_thread_in_the_lock_returns_at_once() -> None:
    line = Line(TestSink())
    with inside_the_lock(line.buffer):
        line.put("nested", 1)
        assert line.flush(3_600) is False
    assert line.flush(30) is True


@pytest.mark.parametrize("overflow", ["block", "drop_newest", "drop_oldest"])
def test_a_queue_that_became_full_while_no_thread_could_be_started_is_written_when_one_can(overflow: Any) -> None:
    sink = TestSink()
    line = Line(sink, queue_size=3, overflow=overflow, block_seconds=0.001)
    with without_threads():
        for item in range(5):
            line.put(item, 1)

    def is_started() -> bool:
        line.worker.ensure_thread()
        return line.worker.is_alive

    wait_until(is_started)
    line.put(5, 1)
    wait_until(lambda: line.counts().committed >= 3)
    assert balanced(line.counts())


def test_a_large_item_goes_without_its_own_messages_before_many_others_lose_theirs() -> None:
    class Texts:
        def lighten(self, item: str) -> tuple[str, int] | None:
            return (item[0], 1) if len(item) > 1 else None

        def unload(self, item: str) -> None:
            return None

        def load(self, item: str, packed: bytes) -> str:
            return item

    sink = TestSink()
    sink.gate.clear()
    line = Line(sink, Texts(), queue_bytes=10_000, queue_size=10**6, overflow="drop_newest")
    line.put("in flight", 1)
    line.buffer.begin_flush(lambda: None)
    assert sink.entered.wait(30)
    for _ in range(100):
        line.put("s" * 90, 90)
    line.put("l" * 9_000, 9_000)
    sink.gate.set()
    assert line.flush(30)
    assert [len(item) for item in sink.items()[1:]] == [90] * 100 + [1]
    line.stop(30)
    assert [(loss.reason, loss.count) for loss in sink.losses] == [("content", 1)]
