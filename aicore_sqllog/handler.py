"""
SQLLogHandler: what ``logging`` wants of a handler. Taking a record is capture's, all else is the delivery service's.
"""

import contextlib
import logging
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any

from aicore_sqllog import options
from aicore_sqllog.capture.build import Defaults, RecordBuilder
from aicore_sqllog.capture.privacy import Privacy, environment_consents
from aicore_sqllog.capture.snapshot import take_bare_snapshot, take_snapshot
from aicore_sqllog.delivery.service import DeliveryOptions, DeliveryService
from aicore_sqllog.delivery.stats import HandlerStats
from aicore_sqllog.prices.pricer import Prices, make_pricer
from aicore_sqllog.process import signals
from aicore_sqllog.process.borrowed_calls import BorrowedCalls
from aicore_sqllog.process.notices import Notices

if TYPE_CHECKING:
    from aicore_sqllog.storage.connection import Connection

__all__ = ["SQLLogHandler"]

Redact = Callable[[str], str | None] | str
"""A redactor, or its ``"package.module:name"``."""


_NOT_IN_MAIN_THREAD = (
    "flush_on_sigterm was left without effect, because the handler was not made in the main thread, where alone "
    "Python sets signal handlers. Call aicore_sqllog.install_signal_handlers() there."
)


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

        flush_on_sigterm: Do what :func:`aicore_sqllog.install_signal_handlers` does, for those who configure
            logging by a file alone: what waits is written before SIGTERM takes its course, also where uvicorn,
            or gunicorn with its worker, raises it again. The handler must be made in the main thread.

        on_notice: Called as ``on_notice(reason, text)``, at most once a minute for a reason, with what is
            written to stderr where this is left out; or its ``"package.module:name"``; ``"off"`` for silence.

        accelerate: ``False`` has every batch written by the ORM's bulk insert. Else the first attempt at a batch
            uses what SQLite and PostgreSQL do several times as fast; what is stored is the same.

        prices: Where a call's cost is from that has tokens and tells none: ``"auto"``, from genai-prices where it is
            installed, for the call's own time and service tier; a mapping of ``"model"`` or ``"provider/model"`` to
            prices per million tokens (``input output cache_read cache_write``), the path of a JSON file of one, or a
            function that is given the call's fields and returns its cost or None, which win; ``"off"``.

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
        flush_on_sigterm: bool = False,
        on_notice: Callable[[str, str], None] | str | None = None,
        accelerate: bool = True,
        prices: "Prices" = "auto",
    ) -> None:
        calls = self._calls = BorrowedCalls()
        told = options.read_callable("on_error", on_error)
        self._notices = Notices(calls.lend(options.read_notices("on_notice", on_notice)))
        defaults = Defaults(
            session_id=options.read_name("session_id", session_id),
            workspace=options.read_name("workspace", workspace),
            agent_id=options.read_name("agent_id", agent_id),
            user_id=options.read_name("user_id", user_id),
        )
        privacy = Privacy(
            captures_content=options.read_flag("capture_content", capture_content) and environment_consents(),
            redactors=[calls.lend(redactor) for redactor in options.read_redactors("redact", redact)],
            on_failure=self._notices.note_redactor_failure,
        )
        pricer = make_pricer(prices, partial(self._notices.say, "prices"), calls.lend)
        limits = options.read_limits(
            batch_size=batch_size,
            flush_interval=flush_interval,
            queue_size=queue_size,
            queue_bytes=queue_bytes,
            overflow=overflow,
        )
        from aicore_sqllog.storage.connection import resolve

        delivery = DeliveryOptions(
            place=resolve(connection, schema=options.read_name("schema", schema)),
            limits=limits,
            shutdown_timeout=options.read_seconds("shutdown_timeout", shutdown_timeout),
            migrate=options.read_choice("migrate", migrate, ("auto", "check", "off")),
            engine_options=options.read_mapping("engine_options", engine_options),
            on_error=calls.lend(told) if told else None,
            accelerate=options.read_flag("accelerate", accelerate),
        )
        self._service = DeliveryService(
            delivery, RecordBuilder(defaults, privacy, pricer), self._notices, weakref.ref(self)
        )
        # A handler that is dropped, as when a notebook's cell runs again, leaves neither thread nor connections.
        weakref.finalize(self, self._service.abandon).atexit = False
        super().__init__(level)
        if options.read_flag("flush_on_sigterm", flush_on_sigterm) and not signals.install_once():
            self._notices.say("flush_on_sigterm", _NOT_IN_MAIN_THREAD)

    def handle(self, record: logging.LogRecord) -> bool | logging.LogRecord:  # type: ignore[override]
        """Filter and take *record*. Unlike other handlers' it takes no lock, which a flush may hold for long."""
        if not self.filters:
            self.emit(record)
            return record
        outcome = self.filter(record)
        if outcome:
            self.emit(outcome if isinstance(outcome, logging.LogRecord) else record)
        return outcome

    def emit(self, record: logging.LogRecord) -> None:
        """Take *record* if it is about a call of a model. Never raises, never waits for the database."""
        service = self._service
        try:
            if get_ident() == service.worker.thread_id:
                service.ignored += 1  # a database driver's own record, which would feed on itself
                return
            try:
                snapshot = take_snapshot(record)
            except Exception as exc:
                snapshot = take_bare_snapshot(record, exc)
            if snapshot is None:
                service.ignored += 1
                return
            service.put(snapshot)
        except Exception as exc:
            self._notices.say("emit", f"a record could not be taken: {type(exc).__qualname__}")
            with contextlib.suppress(Exception):
                service.refuse()

    def flush(self, timeout: float | None = None) -> bool:  # type: ignore[override]  # logging ignores the outcome
        """
        Write what waits, and return when all that was logged before this call is settled.

        Args:
            timeout: Seconds; ``shutdown_timeout`` where it is left out.

        Returns:
            True if all of it is stored. False if the time was over first, if records were dropped
            since the last flush that told so (see :meth:`stats`), or if the handler's own thread asks, as
            from ``on_error``, which would wait for itself.
        """
        return self._service.flush(timeout)

    async def aflush(self, timeout: float | None = None) -> bool:
        """Like :meth:`flush`, without blocking the event loop."""
        return await self._service.aflush(timeout)

    def begin_flush(self) -> None:
        """Have what waits written now, and wait for nothing."""
        self._service.begin_flush()

    def stats(self) -> HandlerStats:
        """Return what became of every record so far, exact at this moment."""
        return self._service.stats()

    def close(self) -> None:
        """
        Write what waits, within ``shutdown_timeout``, and close the connections.

        ``logging.shutdown`` calls this at the end of the process. What could not be written in
        time is not given up while the process lives; a record that comes later opens the handler again.
        """
        service = getattr(self, "_service", None)  # absent if the constructor refused an option
        if service is not None:
            service.close()
        super().close()

    def __repr__(self) -> str:
        stats = self.stats()
        last_commit = stats.last_commit and stats.last_commit.isoformat(timespec="seconds")
        return (
            f"<{type(self).__name__} {self._service.shown_place()} pending={stats.pending} "
            f"oldest_age={stats.oldest_age:.1f}s committed={stats.committed} last_commit={last_commit} "
            f"dropped={stats.dropped} dead_lettered={stats.dead_lettered} retries={stats.retries} "
            f"last_error={stats.last_error!r}>"
        )
