"""
From snapshots to committed rows: the one service that a handler has, with its thread and its connections.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from aicore_sqllog.batching.buffer import Buffer
from aicore_sqllog.batching.clock import monotonic
from aicore_sqllog.batching.counts import UNTAKEN
from aicore_sqllog.batching.limits import Limits
from aicore_sqllog.batching.worker import LOOK_AGAIN_SECONDS, BatchWorker
from aicore_sqllog.capture.build import RecordBuilder
from aicore_sqllog.capture.packing import SnapshotPacking
from aicore_sqllog.capture.snapshot import Snapshot
from aicore_sqllog.delivery.report import Report
from aicore_sqllog.delivery.sink import RecordSink
from aicore_sqllog.delivery.stats import HandlerStats
from aicore_sqllog.process import end
from aicore_sqllog.process.notices import Notices, Tell

if TYPE_CHECKING:
    from aicore_sqllog.storage.connection import Place

__all__ = ["DeliveryOptions", "DeliveryService"]

THREAD_NAME = "sqllog-writer"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryOptions:
    """How one handler delivers; the meaning of each is that of the handler's option of the same name."""

    place: "Place"
    limits: Limits
    shutdown_timeout: float
    migrate: Literal["auto", "check", "off"]
    engine_options: Mapping[str, Any] | None
    on_error: Callable[[Exception, int], None] | None
    accelerate: bool


class DeliveryService:
    """
    Takes snapshots from any thread, and stores them from a thread of its own, which the first one starts.

    Args:
        options: How.

        builder: Makes call records of snapshots, on the thread that writes.

        notices: Where a person is told.

        find_owner: Returns the handler, which lives as long as a record waits, or None where it is gone.
    """

    def __init__(
        self,
        options: DeliveryOptions,
        builder: RecordBuilder,
        notices: Notices,
        find_owner: Callable[[], object] = lambda: None,
    ) -> None:
        self._options = options
        self._find_owner = find_owner
        self._builder = builder
        self._notices = notices
        self._place = options.place
        self.shutdown_timeout = options.shutdown_timeout
        """Seconds that ``close``, ``flush`` and the end of the process may take."""
        self.ignored = 0
        """How many records were not about a call of a model, or came from the thread that writes."""
        self._begin()
        end.watch(self)

    def _begin(self) -> None:
        from aicore_sqllog.storage.connection import show_url

        options = self._options
        self.ignored = 0
        self._report = Report(self._notices, show_url(self._place.url))
        self._sink = RecordSink(
            self._builder,
            self._place,
            engine_options=options.engine_options,
            migrate=options.migrate,
            accelerate=options.accelerate,
            report=self._report,
            on_error=options.on_error,
        )
        self._buffer: Buffer[Snapshot] = Buffer(options.limits, SnapshotPacking(), self._find_owner)
        # Its ``thread_id`` is asked by each log call: what that thread logs is none of the application's.
        # The thread keeps the service: at the end of the process it must be found while anything is being written.
        self.worker = BatchWorker(self._buffer, self._sink, name=THREAD_NAME, keep_alive=self)

    def put(self, snapshot: Snapshot) -> None:
        """Accept *snapshot*. Waits only under the policy ``block``, and only where there is no room."""
        self._buffer.put(snapshot, snapshot.size)
        if end.Ending.seconds_left is not None:  # nothing will come by later to write it
            self.finish()
        elif self.worker.thread is None:
            self.worker.ensure_thread()

    def refuse(self) -> None:
        """Count a record that could not be taken."""
        self._buffer.refuse(UNTAKEN)

    def flush(self, timeout: float | None = None) -> bool:
        """See :meth:`aicore_sqllog.SQLLogHandler.flush`."""
        with end.waiting(self._seconds(timeout)) as seconds:
            return self.worker.flush(monotonic() + seconds)

    async def aflush(self, timeout: float | None = None) -> bool:
        """See :meth:`aicore_sqllog.SQLLogHandler.aflush`."""
        if end.is_ending():  # no thread is left to wait for
            return self.flush(timeout)
        loop = asyncio.get_running_loop()
        settled = asyncio.Event()

        def on_settled() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits
                loop.call_soon_threadsafe(settled.set)

        flush = self._buffer.begin_flush(on_settled)
        try:
            async with asyncio.timeout(self._seconds(timeout)):
                while not settled.is_set():
                    self.worker.ensure_thread()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(settled.wait(), LOOK_AGAIN_SECONDS)
        except TimeoutError:
            pass
        finally:
            stored = self._buffer.end_flush(flush)
        return stored

    def stats(self) -> HandlerStats:
        """Return what became of every record so far."""
        return HandlerStats.of(self._buffer.counts(), self.ignored, self._report.last_error)

    def close(self) -> None:
        """Write what waits, within ``shutdown_timeout``, and close the connections; a later record opens them again."""
        with end.waiting(self._seconds(None)) as seconds:
            give_up_at = monotonic() + seconds
            self.worker.flush(give_up_at)
            self.worker.stop(give_up_at)

    def abandon(self) -> None:
        """Write what waits, then let thread and connections go, and wait for nothing: the handler has been dropped."""
        self.begin_flush()
        self._buffer.stop()

    def begin_flush(self) -> None:
        """Have what waits written now, and wait for nothing."""
        self._buffer.begin_flush(_tell_nobody)
        self.worker.ensure_thread()

    def finish(self) -> None:
        """At the end of the process: write what waits, and say what could not be stored."""
        with end.waiting(self._seconds(None)) as seconds:
            self.worker.finish(monotonic() + seconds)
        self._report.end(self._buffer.counts())

    @property
    def tell(self) -> Tell:
        """How a person is told, as the handler's owner wants it."""
        return self._notices.tell

    def restart_in_child(self) -> None:
        """In a forked child: begin anew, and leave buffer, thread and connections to the parent."""
        self._sink.forget()
        self._place = self._place.in_child()
        self._begin()

    def shown_place(self) -> str:
        """Return the database as it may be shown."""
        return self._report.destination

    def _seconds(self, timeout: float | None) -> float:
        if _holds_lock_of_logging():
            return 0.0
        return self.shutdown_timeout if timeout is None else max(0.0, timeout)


def _tell_nobody() -> None:
    """Nobody waits."""


def _holds_lock_of_logging() -> bool:
    """
    Return whether this thread is inside the lock of the logging module, as ``dictConfig`` is when it closes handlers.

    Our thread needs that lock to make a connection, because SQLAlchemy asks for loggers there. To wait for it
    would be to wait for the time-out; it goes on writing when the lock is free.
    """
    is_owned = getattr(getattr(logging, "_lock", None), "_is_owned", None)
    return is_owned is not None and bool(is_owned())
