"""
What becomes of a batch: snapshots into call records, once, and those into rows; failures and losses into the report.

The writer is made when the first batch comes, and SQLAlchemy imported with it, so that neither attaching a handler
nor the first log call pays for it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from aicore_sqllog.batching.counts import Counts, Loss, Outcome
from aicore_sqllog.capture.build import RecordBuilder
from aicore_sqllog.capture.snapshot import Snapshot
from aicore_sqllog.delivery.report import Report
from aicore_sqllog.process.fork_guard import IMPORTS
from aicore_sqllog.record.call_record import CallRecord

if TYPE_CHECKING:
    from aicore_sqllog.storage.connection import Place
    from aicore_sqllog.writing.writer import Writer

__all__ = ["RecordSink"]

OnError = Callable[[Exception, int], None]


class RecordSink:
    """
    Stores the batches of one handler; see :class:`aicore_sqllog.batching.worker.Sink`.

    Args:
        builder: Makes the records.

        place: Where they are stored.

        engine_options: Keyword arguments for ``create_engine``.

        migrate: See :func:`aicore_sqllog.storage.migrate.ensure_schema`.

        accelerate: Whether a batch's first attempt may use what the database does faster than the ORM.

        report: Is told of failures and losses.

        on_error: The application's own function for failures.
    """

    def __init__(
        self,
        builder: RecordBuilder,
        place: "Place",
        *,
        engine_options: Mapping[str, Any] | None,
        migrate: Literal["auto", "check", "off"],
        accelerate: bool,
        report: Report,
        on_error: OnError | None,
    ) -> None:
        self._builder = builder
        self._place = place
        self._engine_options = engine_options
        self._migrate: Literal["auto", "check", "off"] = migrate
        self._accelerate = accelerate
        self._report = report
        self._on_error = on_error
        self._writer: Writer | None = None

    def prepare(self, items: Sequence[Snapshot]) -> list[CallRecord]:
        """Return the records of *items*, with all in them that must not be stored taken out."""
        return self._builder.build_all(items)

    def write(self, prepared: Sequence[CallRecord], attempt: int) -> Outcome:
        """Store *prepared*."""
        return self._ready_writer().write(prepared, attempt)

    def write_losses(self, losses: Sequence[Loss]) -> None:
        """Store *losses*."""
        self._ready_writer().write([], 1, losses)

    def failed(self, exc: BaseException, items: int, attempt: int, counts: Counts) -> None:
        """Tell a person, and the application, that *items* records are waiting."""
        self._report.failure(exc, items, attempt)
        self._report.losses(counts)
        if self._on_error is not None and isinstance(exc, Exception):
            from aicore_sqllog.storage.faults import without_values
            from aicore_sqllog.writing.triage import NotWritten

            self._on_error(without_values(exc.cause if isinstance(exc, NotWritten) else exc), items)

    def settled(self, counts: Counts) -> None:
        """Tell a person what was lost."""
        self._report.losses(counts)

    def close(self) -> None:
        """Close the connections that are ours."""
        if self._writer is not None:
            self._writer.close()

    def forget(self) -> None:
        """In a forked child: leave the connections to the parent, which still uses them."""
        if self._writer is not None:
            self._writer.forget()

    def _ready_writer(self) -> "Writer":
        if self._writer is None:
            with IMPORTS:
                from aicore_sqllog.writing.writer import Writer

                self._writer = Writer(
                    self._place,
                    self._engine_options,
                    migrate=self._migrate,
                    say=self._report.say,
                    accelerate=self._accelerate,
                )
        return self._writer
