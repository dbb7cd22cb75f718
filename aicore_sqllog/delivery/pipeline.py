"""
What the worker's thread does with a batch: snapshots into call records, once, and those into rows.

The writer is made when the first batch comes, and SQLAlchemy imported with it, so that neither
attaching a handler nor the first log call pays for it.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from aicore_sqllog.batching.counts import Loss, Outcome
from aicore_sqllog.capture.build import RecordBuilder
from aicore_sqllog.capture.snapshot import Snapshot
from aicore_sqllog.process.fork_guard import IMPORTS
from aicore_sqllog.record.call_record import CallRecord

if TYPE_CHECKING:
    from aicore_sqllog.writing.writer import Writer

__all__ = ["Pipeline"]


class Pipeline:
    """
    Called with a batch and the number of the attempt, as :class:`BatchWorker` wants it.

    Args:
        builder: Makes the records.

        make_writer: Makes the writer, when the first batch comes.

        note_losses: Called with what became of a batch, before that is settled.

        take_losses: Returns what was lost since it was called last; it goes into a table of its own.
    """

    def __init__(
        self,
        builder: RecordBuilder,
        make_writer: "Callable[[], Writer]",
        note_losses: Callable[[Outcome], None],
        take_losses: Callable[[], list[Loss]],
    ) -> None:
        self._builder = builder
        self._make_writer = make_writer
        self._note_losses = note_losses
        self._take_losses = take_losses
        self._writer: Writer | None = None
        self._records: list[CallRecord] = []
        self._losses: list[Loss] = []

    def __call__(self, snapshots: Sequence[Snapshot], attempt: int) -> Outcome:
        """Store the batch; a further attempt has the records of the first."""
        if attempt == 1 or len(self._records) != len(snapshots):  # the first may have ended while they were built
            self._records = [self._builder.build(snapshot) for snapshot in snapshots]
        writer = self._ready_writer()
        outcome = writer.write(self._records, attempt)
        self._records = []
        # The batch is stored: whatever happens now, its attempt has not failed.
        with contextlib.suppress(Exception):
            self._note_losses(outcome)
            self._write_losses(writer)
        return outcome

    def close(self) -> None:
        """Store what was lost and is not stored yet, and close the connections that are ours."""
        if self._writer is not None:
            with contextlib.suppress(Exception):
                self._write_losses(self._writer)
            self._writer.close()

    def forget(self) -> None:
        """In a forked child: leave the connections, and the batch that was being written, to the parent."""
        self._records = []
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.forget()

    def _write_losses(self, writer: "Writer") -> None:
        """Store what was lost; what of it cannot be now is tried again the next time, before more is taken."""
        self._losses = self._losses or self._take_losses()
        if self._losses:
            writer.write([], 1, self._losses)
            self._losses = []

    def _ready_writer(self) -> "Writer":
        if self._writer is None:
            with IMPORTS:
                self._writer = self._make_writer()
        return self._writer
