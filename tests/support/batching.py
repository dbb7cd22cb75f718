"""A buffer with its worker and a sink of the test's own: batching with neither records nor a database."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from aicore_sqllog.batching.buffer import Buffer
from aicore_sqllog.batching.clock import monotonic
from aicore_sqllog.batching.counts import Counts, Loss, Outcome
from aicore_sqllog.batching.limits import Limits
from aicore_sqllog.batching.queue import Packing
from aicore_sqllog.batching.worker import BatchWorker

__all__ = ["THREAD_NAME", "Line", "PlainItems", "TestSink", "balanced", "inside_the_lock", "without_threads"]

THREAD_NAME = "test-worker"


class PlainItems:
    """Items of which the queue can do nothing but keep them."""

    def lighten(self, item: Any) -> None:
        return None

    def unload(self, item: Any) -> None:
        return None

    def load(self, item: Any, packed: bytes) -> Any:
        raise AssertionError("nothing was unloaded")


class TestSink:
    """Keeps what is written; a gate holds it, and faults make attempts fail."""

    __test__ = False

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.attempts: list[int] = []
        self.prepared = 0
        self.losses: list[Loss] = []
        self.loss_faults: list[BaseException] = []
        self.failures: list[tuple[str, int, int]] = []
        self.reported: list[Counts] = []
        self.closed = 0
        self.gate = threading.Event()
        self.gate.set()
        self.faults: list[BaseException] = []
        self.outcomes: list[Outcome] = []
        """What to answer, before every batch is simply committed."""
        self.entered = threading.Event()

    def items(self) -> list[Any]:
        return [item for batch in self.batches for item in batch]

    def prepare(self, items: Sequence[Any]) -> list[Any]:
        self.prepared += len(items)
        return list(items)

    def write(self, prepared: list[Any], attempt: int) -> Outcome:
        self.attempts.append(attempt)
        self.entered.set()
        assert self.gate.wait(30)
        if self.faults:
            raise self.faults.pop(0)
        if self.outcomes:
            return self.outcomes.pop(0)
        self.batches.append(list(prepared))
        return Outcome(len(prepared))

    def write_losses(self, losses: Sequence[Loss]) -> None:
        if self.loss_faults:
            raise self.loss_faults.pop(0)
        self.losses += losses

    def failed(self, exc: BaseException, items: int, attempt: int, counts: Counts) -> None:
        self.failures.append((str(exc), items, attempt))

    def settled(self, counts: Counts) -> None:
        self.reported.append(counts)

    def close(self) -> None:
        self.closed += 1


class Line:
    """What a handler's service does with buffer and worker, and nothing else."""

    def __init__(
        self,
        sink: TestSink | None = None,
        packing: Packing[Any] | None = None,
        choose_pause: Callable[[float], float] | None = None,
        **limits: Any,
    ) -> None:
        self.sink = sink or TestSink()
        self.buffer: Buffer[Any] = Buffer(Limits(**{"flush_interval": 3600, **limits}), packing or PlainItems())
        self.worker: BatchWorker[Any] = BatchWorker(self.buffer, self.sink, name=THREAD_NAME, choose_pause=choose_pause)

    def put(self, item: Any, size: int = 1) -> None:
        self.buffer.put(item, size)
        if self.worker.thread is None:
            self.worker.ensure_thread()

    def flush(self, seconds: float = 30) -> bool:
        return self.worker.flush(monotonic() + seconds)

    def stop(self, seconds: float = 30) -> bool:
        give_up_at = monotonic() + seconds
        stored = self.worker.flush(give_up_at)
        self.worker.stop(give_up_at)
        return stored

    def counts(self) -> Counts:
        return self.buffer.counts()


def balanced(counts: Counts) -> bool:
    """Whether *counts* account for every item."""
    settled = counts.committed + counts.duplicate + counts.dead_lettered + counts.dropped.total()
    return counts.accepted == settled + counts.pending


@contextmanager
def inside_the_lock(buffer: Buffer[Any]) -> Iterator[None]:
    """Stand where a thread does that was interrupted, or suspended, inside the buffer's lock."""
    with buffer._locked():
        yield


@contextmanager
def without_threads(name: str = THREAD_NAME) -> Iterator[None]:
    """Have no thread of that name started, as an interpreter that ends starts none."""
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == name:
            raise RuntimeError("can't create new thread at interpreter shutdown")
        start(thread)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        yield
