"""
When a batch is due, how large it gets, how much may wait, and what happens past that.
"""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Limits", "Overflow"]

Overflow = Literal["block", "drop_newest", "drop_oldest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The worker's limits."""

    batch_size: int = 500
    batch_bytes: int = 1024**2
    flush_interval: float = 1.0
    """Seconds that an item waits at most before its batch is begun."""
    queue_size: int = 10_000
    queue_bytes: int = 64 * 1024**2
    overflow: Overflow = "block"
    block_seconds: float = 5.0
