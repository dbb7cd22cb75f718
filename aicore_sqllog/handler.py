"""
SQLLogHandler: the write door. Wires capture to delivery, and holds what ``logging`` wants of a handler.
"""

import asyncio
import atexit
import contextlib
import logging
import os
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aicore_sqllog import options
from aicore_sqllog.capture.build import Defaults, RecordBuilder
from aicore_sqllog.capture.privacy import Privacy, environment_consents
from aicore_sqllog.capture.snapshot import Snapshot, lighten, take_bare_snapshot, take_snapshot
from aicore_sqllog.delivery.notices import Notices
from aicore_sqllog.delivery.pipeline import Pipeline
from aicore_sqllog.delivery.queue import BoundedQueue
from aicore_sqllog.delivery.stats import HandlerStats
from aicore_sqllog.delivery.worker import BatchWorker, Limits, Loss

if TYPE_CHECKING:
    from aicore_sqllog.delivery.writer import SqlWriter
    from aicore_sqllog.storage.connection import Connection

__all__ = ["SQLLogHandler", "flush_all"]

THREAD_NAME = "sqllog-writer"
_CONTENTION_ATTEMPTS = 4
"""Writers that meet in one place make each other try again; only one that goes on is worth a word."""

Redact = Callable[[str], str | None] | str
"""A redactor, or its ``"package.module:name"``."""


class SQLLogHandler(logging.Handler):
    """
    A logging handler that stores LLM records in a database, in the background.

    The log call takes a snapshot of the record and returns; it never waits for the database and
    never raises. One daemon thread, started by the first LLM record, writes batches into
    ``llm_sessions``, ``llm_operations`` and ``llm_messages``, which it makes where they are
    missing. A batch that cannot be written is tried again for as long as the process lives. What is
    still waiting when the process ends is written then, within *shutdown_timeout*. A closed handler
    opens again with the next record.

    Records that are not about a call of a model pass by; see ``stats().ignored``.

    Args:
        connection: Where to store: a SQLAlchemy URL, or an engine, which is borrowed. Default:
            ``$CONNECTION_STRING``, then ``$ASYNC_CONNECTION_STRING``, then the file
            ``aicore_sqllog.db`` in the current folder.

        level: As for every handler.

        schema: The database schema of the tables (on MySQL and MariaDB a database), where it is
            not the default one.

        batch_size: Records a transaction at most; a full batch is written at once.

        flush_interval: Seconds that a record waits at most before its batch is begun.

        queue_size: Records that may wait.

        queue_bytes: Bytes that may wait; whichever of the two is reached first.

        overflow: What happens past these: ``"block"`` waits for room, 5 seconds at most and
            never on a running event loop, then drops the record; ``"drop_oldest"``;
            ``"drop_newest"``. Each drop is counted.

        shutdown_timeout: Seconds that ``close``, ``flush`` and the end of the process may take.

        migrate: ``"auto"`` creates what is missing, the database too, and brings older tables up
            to date; ``"check"`` refuses older ones; ``"off"`` does not look.
        capture_content: ``False`` keeps names, numbers, roles, counts and lengths of every record
            and none of its texts. A record, an ``llm_session`` and the environment can ask for it too.

        redact: Sees every text before it is stored and returns what to store, or None: a function, its
            ``"package.module:name"``, or a list of them. Runs on the handler's thread. In place of a text
            for which it fails, a marker is stored. See :mod:`aicore_sqllog.redactors`.

        session_id, workspace, agent_id, user_id: For records that carry none.

        engine_options: Keyword arguments for ``sqlalchemy.create_engine``, over our own defaults.

        on_error: Called as ``on_error(exception, count)`` on the handler's thread when *count*
            records could not be written and will be tried again; or its ``"package.module:name"``.

    Raises:
        ConfigurationError: If an option, the URL or the variable that holds it cannot work.
    """

    def __init__(
        self,
        connection: "Connection | None" = None,
        level: int | str = logging.NOTSET,
        *,
        schema: str | None = None,
        batch_size: int = 500,
        flush_interval: float = 1.0,
        queue_size: int = 10_000,
        queue_bytes: int = 64 * 1024**2,
        overflow: str = "block",
        shutdown_timeout: float = 5.0,
        migrate: str = "auto",
        capture_content: bool = True,
        redact: Redact | Sequence[Redact] | None = None,
        session_id: str | None = None,
        workspace: str | None = None,
        agent_id: str | None = None,
        user_id: str | None = None,
        engine_options: Mapping[str, Any] | None = None,
        on_error: Callable[[Exception, int], None] | str | None = None,
    ) -> None:
        limits = options.read_limits(
            batch_size=batch_size,
            flush_interval=flush_interval,
            queue_size=queue_size,
            queue_bytes=queue_bytes,
            overflow=overflow,
        )
        self._shutdown_timeout = options.read_seconds("shutdown_timeout", shutdown_timeout)
        self._on_error = options.read_callable("on_error", on_error)
        defaults = Defaults(
            session_id=options.read_name("session_id", session_id),
            workspace=options.read_name("workspace", workspace),
            agent_id=options.read_name("agent_id", agent_id),
            user_id=options.read_name("user_id", user_id),
        )
        self._notices = Notices()
        privacy = Privacy(
            captures_content=options.read_flag("capture_content", capture_content) and environment_consents(),
            redactors=options.read_redactors("redact", redact),
            on_failure=lambda what: self._notices.say("redact", f"{what}; the text was not stored"),
        )
        from aicore_sqllog.storage.connection import resolve

        self._place = resolve(connection, schema=options.read_name("schema", schema))
        self._migrate = options.read_choice("migrate", migrate, ("auto", "check", "off"))
        self._engine_options = options.read_mapping("engine_options", engine_options)
        self._pipeline = Pipeline(RecordBuilder(defaults, privacy), self._make_writer, self._take_losses)
        self._worker: BatchWorker[Snapshot] = BatchWorker(
            self._pipeline,
            name=THREAD_NAME,
            limits=limits,
            make_queue=_make_queue,
            on_failure=self._note_failure,
            on_idle_end=self._pipeline.close,
        )
        self._told_losses: Counter[str] = Counter()
        self._ignored = 0
        self._last_error: str | None = None
        super().__init__(level)
        _LIVE.add(self)

    def handle(self, record: logging.LogRecord) -> bool | logging.LogRecord:  # type: ignore[override]
        """Filter and take *record*. Unlike other handlers' it takes no lock, which a flush may hold for long."""
        outcome = self.filter(record)
        if outcome:
            self.emit(outcome if isinstance(outcome, logging.LogRecord) else record)
        return outcome

    def emit(self, record: logging.LogRecord) -> None:
        """Take *record* if it is about a call of a model. Never raises, never waits for the database."""
        try:
            snapshot = self._take(record)
            if snapshot is None:
                self._ignored += 1
                return
            self._worker.put(snapshot, snapshot.size)
            if _Exit.give_up_at is not None:  # nothing will come by later to write it
                self._worker.flush(_Exit.seconds_left())
        except Exception as exc:
            self._notices.say("emit", f"a record could not be taken: {type(exc).__qualname__}")

    def flush(self, timeout: float | None = None) -> bool:  # type: ignore[override]  # logging ignores the outcome
        """
        Write what waits, and return when all that was logged before this call is settled.

        Args:
            timeout: Seconds; ``shutdown_timeout`` where it is left out.

        Returns:
            True if all of it is stored. False if the time was over first, or if records were dropped
            since the last flush that told so; see :meth:`stats`.
        """
        return self._worker.flush(self._seconds(timeout))

    async def aflush(self, timeout: float | None = None) -> bool:
        """Like :meth:`flush`, without blocking the event loop."""
        loop = asyncio.get_running_loop()
        settled = asyncio.Event()

        def on_settled() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits
                loop.call_soon_threadsafe(settled.set)

        target = self._worker.request_flush(on_settled)
        try:
            async with asyncio.timeout(self._seconds(timeout)):
                await settled.wait()
        except TimeoutError:
            pass
        finally:
            stored = self._worker.end_flush(target, on_settled)
        return stored

    def stats(self) -> HandlerStats:
        """Return what became of every record so far, exact at this moment."""
        books = self._worker.books()
        return HandlerStats(
            accepted=books.accepted,
            committed=books.committed,
            duplicate=books.duplicate,
            dead_lettered=books.dead_lettered,
            dropped=books.dropped.total(),
            pending=books.pending,
            ignored=self._ignored,
            id_conflict=books.id_conflict,
            retries=books.retries,
            dropped_by_reason=dict(books.dropped),
            pending_bytes=books.pending_bytes,
            oldest_age=books.oldest_age,
            last_commit=None if books.last_commit_at is None else datetime.fromtimestamp(books.last_commit_at, UTC),
            last_error=self._last_error,
        )

    def close(self) -> None:
        """
        Write what waits, within ``shutdown_timeout``, and close the connections.

        ``logging.shutdown`` calls this at the end of the process. What could not be written in
        time is not given up while the process lives; a record that comes later opens the handler again.
        """
        worker = getattr(self, "_worker", None)  # absent if the constructor refused an option
        if worker is not None:
            worker.stop(self._seconds(None))
        super().close()

    def __repr__(self) -> str:
        stats = self.stats()
        last_commit = stats.last_commit and stats.last_commit.isoformat(timespec="seconds")
        return (
            f"<{type(self).__name__} {self._shown_place()} pending={stats.pending} oldest_age={stats.oldest_age:.1f}s "
            f"committed={stats.committed} last_commit={last_commit} dropped={stats.dropped} "
            f"dead_lettered={stats.dead_lettered} retries={stats.retries} last_error={stats.last_error!r}>"
        )

    def _take(self, record: logging.LogRecord) -> Snapshot | None:
        if threading.get_ident() == self._worker.thread_id:
            return None  # a database driver's own record, which would feed on itself
        try:
            return take_snapshot(record)
        except Exception as exc:
            return take_bare_snapshot(record, exc)

    def _seconds(self, timeout: float | None) -> float:
        if _holds_lock_of_logging():
            return 0.0
        seconds = self._shutdown_timeout if timeout is None else max(0.0, timeout)
        return seconds if _Exit.give_up_at is None else min(seconds, _Exit.seconds_left())

    def _shown_place(self) -> str:
        from aicore_sqllog.storage.connection import show_url

        return show_url(self._place.url)

    def _make_writer(self) -> "SqlWriter":
        from aicore_sqllog.delivery.writer import SqlWriter

        return SqlWriter(self._place, self._engine_options, migrate=self._migrate, say=self._say)

    def _say(self, text: str) -> None:
        self._notices.say(text, text)

    def _note_failure(self, exc: BaseException, count: int, attempt: int) -> None:
        from aicore_sqllog.storage.faults import Kind, diagnose

        fault = diagnose(exc)
        self._last_error = fault.summary
        if fault.kind is not Kind.CONTENTION or attempt >= _CONTENTION_ATTEMPTS:
            told = f"{count} records wait, for {self._shown_place()} took none of them: {fault}"
            self._notices.say("write", told)
        self._tell_losses()
        if self._on_error is not None and isinstance(exc, Exception):
            self._on_error(exc, count)

    def _take_losses(self) -> list[Loss]:
        self._tell_losses()
        return self._worker.take_losses()

    def _tell_losses(self) -> None:
        """Say what was lost since it was last said; on the worker's thread, never from within a log call."""
        books = self._worker.books()
        lost = Counter(books.dropped)
        if books.dead_lettered:
            lost["dead_lettered"] = books.dead_lettered
        for reason, count in lost.items():
            new = count - self._told_losses[reason]
            if new and self._notices.say(f"lost {reason}", f"{new} records: {_LOSSES.get(reason, reason)}"):
                self._told_losses[reason] = count

    def _begin_flush(self) -> None:
        """Have what waits written now, and wait for nothing."""
        self._worker.request_flush(_tell_nobody)

    def _finish(self) -> None:
        """At the end of the process: write what waits, and say what could not be stored."""
        self._worker.flush(self._seconds(None))
        books = self._worker.books()
        untold = Counter(books.dropped) - self._told_losses
        lost = books.pending + untold.total()
        if lost:
            self._notices.say("exit", f"{lost} records could not be stored in {self._shown_place()}.")

    def _reset_in_child(self) -> None:
        self._worker.reset()
        self._pipeline.forget()
        self._place = self._place.in_child()
        self._notices = Notices()
        self._told_losses = Counter()
        self._ignored = 0
        self._last_error = None


_LOSSES = {
    "queue_full": "dropped, for the queue was full. Look at queue_size, queue_bytes and overflow.",
    "event_loop": "dropped, for the queue was full and an event loop must not wait. Look at queue_bytes.",
    "unstorable": "dropped, for the database refuses them and the folder of dead letters is full or cannot be written.",
    "dead_lettered": "the database refuses them; they are in the user's state directory, under aicore_sqllog.",
}


def _holds_lock_of_logging() -> bool:
    """
    Return whether this thread is inside the lock of the logging module, as ``dictConfig`` is when it closes handlers.

    Our thread needs that lock to make a connection, for SQLAlchemy asks for loggers there. To wait for it
    would be to wait for the time-out; it goes on writing when the lock is free.
    """
    is_owned = getattr(getattr(logging, "_lock", None), "_is_owned", None)
    return is_owned is not None and bool(is_owned())


def _tell_nobody() -> None:
    """Nobody waits."""


def _make_queue(limits: Limits) -> BoundedQueue[Snapshot]:
    return BoundedQueue(limits.queue_size, limits.queue_bytes, lighten)


_LIVE: "weakref.WeakSet[SQLLogHandler]" = weakref.WeakSet()


def flush_all() -> None:
    """Flush every handler of this process, all at once, each within its ``shutdown_timeout``."""
    handlers = list(_LIVE)
    started_at = time.monotonic()
    for handler in handlers:
        handler._begin_flush()
    for handler in handlers:
        handler.flush(started_at + handler._shutdown_timeout - time.monotonic())


class _Exit:
    """The end of the process: one deadline for all that is done in it."""

    give_up_at: float | None = None
    is_registered = False
    """With multiprocessing; a child inherits that."""

    @classmethod
    def seconds_left(cls) -> float:
        return 0.0 if cls.give_up_at is None else max(0.0, cls.give_up_at - time.monotonic())


@atexit.register
def _finish_all() -> None:
    # Runs before logging.shutdown, which was registered earlier, and also for a handler that an
    # application's later dictConfig has taken off logging's own list.
    handlers = list(_LIVE)
    if _Exit.give_up_at is None:
        _Exit.give_up_at = time.monotonic() + max((handler._shutdown_timeout for handler in handlers), default=0.0)
    for handler in handlers:  # all at once: one whose database is away leaves the others their time
        handler._begin_flush()
    for handler in handlers:
        handler._finish()


def _reset_all_in_child() -> None:
    _Exit.give_up_at = None
    for handler in list(_LIVE):
        handler._reset_in_child()
    _register_with_multiprocessing()


def _register_with_multiprocessing() -> None:
    """Have what waits written at the end of multiprocessing's processes, which is ``os._exit``, past ``atexit``."""
    util = sys.modules.get("multiprocessing.util")  # not imported: then this is none of them, as yet
    if util is not None and not _Exit.is_registered:
        # A finalizer is forgotten when such a process starts; what is registered so is called then, and makes one.
        util.register_after_fork(_finish_all, lambda finish: util.Finalize(None, finish, exitpriority=_LAST))
        _Exit.is_registered = True


_LAST = -1000

_register_with_multiprocessing()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_all_in_child)
