"""The door of the queue: a log call waits for no thread, whatever holds the lock."""

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

from aicore_sqllog.batching import intake as intake_module
from aicore_sqllog.batching.intake import _Arrival
from aicore_sqllog.batching.limits import Limits
from aicore_sqllog.batching.worker import BatchWorker
from tests.batching.test_worker import Sink, balanced, make
from tests.conftest import ROOT
from tests.support.processes import run_python, wait_until


class Holder:
    """A thread that holds the lock of a worker until it is told to let go."""

    def __init__(self, worker: BatchWorker[Any]) -> None:
        self._held, self._done = threading.Event(), threading.Event()
        self._worker = worker
        self._thread = threading.Thread(target=self._hold)

    def _hold(self) -> None:
        with self._worker._intake.locked():
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
    sink = Sink()
    worker = make(sink, overflow=overflow)
    with Holder(worker):
        for item in range(50):
            worker.put(item, 1)  # would hang here
        assert worker._books.accepted == 0
    wait_until(lambda: worker._books.accepted == 50)
    assert worker.books().pending == 50
    assert worker.flush(30)
    assert sink.items() == list(range(50))


def test_what_is_logged_before_the_books_are_read_or_a_flush_begins_is_in_them() -> None:
    worker = make(Sink())
    worker._intake._door.append(_Arrival("left by a thread that found the lock taken", 1, 0.0, None))
    assert worker.books().accepted == 1
    worker._intake._door.append(_Arrival("another", 1, 0.0, None))
    assert worker.flush(30)
    assert worker.books().committed == 2


def test_a_crowd_at_the_door_waits_for_the_lock_but_not_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "_CROWD", 3)
    monkeypatch.setattr(intake_module, "_CROWD_SECONDS", 0.001)
    worker = make(Sink())
    with Holder(worker):
        for item in range(20):
            worker.put(item, 1)
    assert worker.flush(30)
    assert worker.books().committed == 20


def test_many_threads_at_the_door_lose_nothing_and_keep_their_order() -> None:
    sink = Sink()
    worker = make(sink, batch_size=10, queue_size=10**6)

    def produce(thread: int) -> None:
        for number in range(3_000):
            worker.put((thread, number), 1)

    threads = [threading.Thread(target=produce, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert balanced(worker.books())
    assert worker.flush(60)
    for thread_number in range(8):
        own = [number for thread, number in sink.items() if thread == thread_number]
        assert own == list(range(3_000))


def test_nobody_is_overtaken_for_ever_where_room_is_scarce() -> None:
    """Eight threads, room for one: each gets its turn long before it gives up."""
    sink = Sink()
    worker = make(sink, batch_size=1, queue_size=1, block_seconds=20)

    def produce() -> None:
        for number in range(200):
            worker.put(number, 1)

    threads = [threading.Thread(target=produce) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert worker.flush(60)
    assert worker.books().dropped == {}
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
    """Send this thread so many Ctrl-C in the middle of log calls, and look at the lock after each and at the books."""
    gc.disable()  # else some would come in the destructors of others
    sink = Sink()
    worker = make(sink, queue_size=10**7)
    worker.put("first", 1)
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
                    worker.put("item", 1)
                    returned += 1
            except KeyboardInterrupt:
                may_raise = False
                sent += 1
            assert not worker._intake.is_inside(), "the lock was left held"
    books = worker.books()
    assert balanced(books)
    assert returned <= books.accepted <= returned + sent
    assert worker.flush(60)
    assert worker.books().committed == books.accepted == len(sink.items())


def test_a_control_c_anywhere_in_a_log_call_leaves_the_lock_free_and_the_books_in_balance(tmp_path: Path) -> None:
    script = "from tests.batching.test_intake import interrupt_log_calls; interrupt_log_calls(1_000)"
    done = run_python("-c", script, cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("overflow", ["block", "drop_oldest", "drop_newest"])
def test_a_signal_handler_that_logs_while_its_thread_flushes_hangs_nobody(overflow: Any) -> None:
    """It may interrupt the flush where that holds what the worker wants, and find no room in the queue."""
    worker = make(Sink(), queue_size=2, batch_size=1, overflow=overflow, block_seconds=0.2)
    heard = itertools.count()

    def log() -> None:
        next(heard)
        for _ in range(3):
            worker.put("from the signal handler", 1)

    with alarms(log):
        for _ in range(1_000):
            worker.put("item", 1)
            worker.flush(30)
    assert next(heard) > 20
    assert balanced(worker.books())


def test_a_flush_from_a_signal_handler_that_interrupts_its_own_thread_in_the_lock_returns_at_once() -> None:
    worker = make(Sink())
    with worker._intake.locked():
        worker.put("nested", 1)
        assert worker.flush(3_600) is False
    assert worker.flush(30) is True


@pytest.mark.parametrize("overflow", ["block", "drop_newest", "drop_oldest"])
def test_a_queue_that_became_full_while_no_thread_could_be_started_is_written_when_one_can(
    overflow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = Sink()
    worker = make(sink, queue_size=3, overflow=overflow, block_seconds=0.001)
    start = threading.Thread.start
    with monkeypatch.context() as patch:

        def refuse(thread: threading.Thread) -> None:
            if thread.name == "test-worker":
                raise RuntimeError("can't start new thread")
            start(thread)

        patch.setattr(threading.Thread, "start", refuse)
        for item in range(5):
            worker.put(item, 1)
    worker._start_again_at = 0.0
    worker.put(5, 1)
    wait_until(lambda: worker.books().committed >= 3)
    assert balanced(worker.books())


def test_a_large_item_goes_without_its_own_messages_before_many_others_lose_theirs() -> None:
    class Texts:
        def lighten(self, item: str) -> tuple[str, int] | None:
            return (item[0], 1) if len(item) > 1 else None

        def unload(self, item: str) -> None:
            return None

        def load(self, item: str, packed: bytes) -> str:
            return item

    sink = Sink()
    sink.gate.clear()
    limits = Limits(flush_interval=3600, queue_bytes=10_000, queue_size=10**6, overflow="drop_newest")
    worker: BatchWorker[str] = BatchWorker(sink, name="test-worker", limits=limits, cargo=Texts())
    worker.put("in flight", 1)
    worker.request_flush(lambda: None)
    assert sink.entered.wait(30)
    for _ in range(100):
        worker.put("s" * 90, 90)
    worker.put("l" * 9_000, 9_000)
    sink.gate.set()
    assert worker.flush(30)
    assert [len(item) for item in sink.items()[1:]] == [90] * 100 + [1]
    assert [(loss.reason, loss.count) for loss in worker.take_losses()] == [("content", 1)]
