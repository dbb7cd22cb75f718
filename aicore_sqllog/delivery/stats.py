"""
The handler's figures, as its user sees them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from aicore_sqllog.batching.counts import Counts

__all__ = ["HandlerStats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerStats:
    """
    What became of every LLM record, at one moment.

    ``accepted == committed + duplicate + dead_lettered + dropped + pending``.
    """

    accepted: int
    """LLM records that were logged."""
    committed: int
    """Stored by this handler."""
    duplicate: int
    """Found stored already when their batch was tried again."""
    dead_lettered: int
    """Refused by the database whatever is done; kept in a file with the reason."""
    dropped: int
    """Given up by the overflow policy, or could be put nowhere; see ``dropped_by_reason``."""
    pending: int
    """Waiting, or in the batch that is being written."""
    ignored: int
    """Records that were not about a call of a model, or came from the handler's own thread."""
    id_conflict: int
    """Of those committed: stored under a fresh id, because the ``operation_id`` asked for was taken."""
    retries: int
    """Failed attempts to write a batch."""
    dropped_by_reason: Mapping[str, int]
    pending_bytes: int
    oldest_age: float
    """Seconds that the oldest pending record has waited."""
    last_commit: datetime | None
    """When a batch was last stored, in UTC."""
    last_error: str | None
    """What the last failed attempt met, without parameters."""

    @classmethod
    def of(cls, counts: Counts, ignored: int, last_error: str | None) -> Self:
        """Return the figures that *counts* say."""
        last_commit = counts.last_commit_at
        return cls(
            accepted=counts.accepted,
            committed=counts.committed,
            duplicate=counts.duplicate,
            dead_lettered=counts.dead_lettered,
            dropped=counts.dropped.total(),
            pending=counts.pending,
            ignored=ignored,
            id_conflict=counts.id_conflict,
            retries=counts.retries,
            dropped_by_reason=dict(counts.dropped),
            pending_bytes=counts.pending_bytes,
            oldest_age=counts.oldest_age,
            last_commit=None if last_commit is None else datetime.fromtimestamp(last_commit, UTC),
            last_error=last_error,
        )
