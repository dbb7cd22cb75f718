"""
SQLLogHandler: the write door. Wires capture to delivery, and holds what ``logging`` wants of a handler.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aicore_sqllog import options
from aicore_sqllog.batching.counts import UNSTORABLE, UNTAKEN, Loss, Outcome
from aicore_sqllog.batching.worker import BatchWorker
from aicore_sqllog.capture.build import Defaults, RecordBuilder
from aicore_sqllog.capture.packing import SnapshotPacking
from aicore_sqllog.capture.privacy import Privacy, environment_consents
from aicore_sqllog.capture.snapshot import Snapshot, take_bare_snapshot, take_snapshot
from aicore_sqllog.delivery.pipeline import Pipeline
from aicore_sqllog.delivery.report import Report
from aicore_sqllog.delivery.stats import HandlerStats
from aicore_sqllog.process import end
from aicore_sqllog.process.notices import Notices

if TYPE_CHECKING:
    from aicore_sqllog.storage.connection import Connection
    from aicore_sqllog.writing.writer import Writer

__all__ = ["SQLLogHandler"]

THREAD_NAME = "sqllog-writer"
_LOOK_AGAIN_SECONDS = 1.0

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
        self._pipeline = Pipeline(
            RecordBuilder(defaults, privacy), self._make_writer, self._note_losses, self._take_losses
        )
        self._worker: BatchWorker[Snapshot] = BatchWorker(
            self._pipeline,
            name=THREAD_NAME,
            limits=limits,
            cargo=SnapshotPacking(),
            on_failure=self._note_failure,
            on_idle_end=self._pipeline.close,
        )
        self._report = Report(self._notices, self._shown_place)
        self._ignored = 0
        super().__init__(level)
        end.watch(self)

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
            if end.is_ending():  # nothing will come by later to write it
                self.finish()
        except Exception as exc:
            self._notices.say("emit", f"a record could not be taken: {type(exc).__qualname__}")
            with contextlib.suppress(Exception):
                self._worker.refuse(UNTAKEN)

    def flush(self, timeout: float | None = None) -> bool:  # type: ignore[override]  # logging ignores the outcome
        """
        Write what waits, and return when all that was logged before this call is settled.

        Args:
            timeout: Seconds; ``shutdown_timeout`` where it is left out.

        Returns:
            True if all of it is stored. False if the time was over first, or if records were dropped
            since the last flush that told so; see :meth:`stats`.
        """
        with end.waiting(self._seconds(timeout)) as seconds:
            return self._worker.flush(seconds)

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
                while not settled.is_set():
                    self._worker.ensure_thread()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(settled.wait(), _LOOK_AGAIN_SECONDS)
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
            last_error=self._report.last_error,
        )

    def close(self) -> None:
        """
        Write what waits, within ``shutdown_timeout``, and close the connections.

        ``logging.shutdown`` calls this at the end of the process. What could not be written in
        time is not given up while the process lives; a record that comes later opens the handler again.
        """
        worker = getattr(self, "_worker", None)  # absent if the constructor refused an option
        if worker is not None:
            with end.waiting(self._seconds(None)) as seconds:
                worker.stop(seconds)
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
        return self._shutdown_timeout if timeout is None else max(0.0, timeout)

    def _shown_place(self) -> str:
        from aicore_sqllog.storage.connection import show_url

        return show_url(self._place.url)

    def _make_writer(self) -> "Writer":
        from aicore_sqllog.writing.writer import Writer

        return Writer(self._place, self._engine_options, migrate=self._migrate, say=self._report.say)

    def _note_failure(self, exc: BaseException, count: int, attempt: int) -> None:
        self._report.failure(exc, count, attempt)
        self._report.losses(self._worker.books())
        if self._on_error is not None and isinstance(exc, Exception):
            from aicore_sqllog.storage.faults import without_values
            from aicore_sqllog.writing.triage import NotWritten

            self._on_error(without_values(exc.cause if isinstance(exc, NotWritten) else exc), count)

    def _note_losses(self, outcome: Outcome) -> None:
        self._worker.note_loss(UNSTORABLE, outcome.dropped)
        self._report.losses(self._worker.books(), outcome)

    def _take_losses(self) -> list[Loss]:
        return self._worker.take_losses()

    # -- for lifecycle.py ------------------------------------------------------------------------

    @property
    def shutdown_timeout(self) -> float:
        """Seconds that ``close``, ``flush`` and the end of the process may take."""
        return self._shutdown_timeout

    def begin_flush(self) -> None:
        """Have what waits written now, and wait for nothing."""
        self._worker.request_flush(_tell_nobody)

    def finish(self) -> None:
        """At the end of the process: write what waits, and say what could not be stored."""
        self.flush()
        self._report.end(self._worker.books())

    def reset_in_child(self) -> None:
        """In a forked child: begin anew, and leave queue, thread and connections to the parent."""
        self._worker.reset()
        self._pipeline.forget()
        self._place = self._place.in_child()
        self._notices = Notices()
        self._report = Report(self._notices, self._shown_place)
        self._ignored = 0


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
