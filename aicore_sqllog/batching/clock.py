"""
The clock of every wait and deadline here: monotonic, and the machine's own.
"""

import functools
import time

__all__ = ["monotonic"]

# A test that freezes time replaces ``time.monotonic`` in every module that holds it, and batches would never be due.
monotonic = functools.partial(time.clock_gettime, time.CLOCK_MONOTONIC) if hasattr(time, "clock_gettime") else (
    functools.partial(time.monotonic)
)  # fmt: skip
"""Return seconds that never step back; only differences mean anything."""
