"""The door of the queue: a log call waits for no thread, whatever holds the lock."""

import threading
from typing import Any

import pytest

from aicore_sqllog.delivery import intake as intake_module
from aicore_sqllog.delivery.intake import _Arrival
from aicore_sqllog.delivery.worker import BatchWorker
from tests.support import wait_until
from tests.test_worker import Sink, balanced, make


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
