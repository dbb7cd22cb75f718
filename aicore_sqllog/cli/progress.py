"""
How far long work has come, on stderr: a moving line in a terminal, and elsewhere a line every few seconds.
"""

import sys
import time
from types import TracebackType
from typing import Self

__all__ = ["Progress"]

_TERMINAL_SECONDS, _ELSEWHERE_SECONDS = 0.2, 10.0


class Progress:
    """
    Counts rows by table, and tells it; use it with ``with``.

    Args:
        verb: What happens to the rows, such as "exported".

        is_quiet: Whether nothing is told.
    """

    def __init__(self, verb: str, *, is_quiet: bool = False) -> None:
        self._verb = verb
        self._is_quiet = is_quiet
        self._is_terminal = sys.stderr.isatty()
        self._seconds = _TERMINAL_SECONDS if self._is_terminal else _ELSEWHERE_SECONDS
        self._rows: dict[str, int] = {}
        self._began_at = self._told_at = time.monotonic()

    def __call__(self, table: str, rows: int) -> None:
        """Count *rows* more of *table*."""
        self._rows[table] = self._rows.get(table, 0) + rows
        now = time.monotonic()
        if not self._is_quiet and now - self._told_at >= self._seconds:
            self._told_at = now
            self._tell(now)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_terminal and not self._is_quiet:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def _tell(self, now: float) -> None:
        counts = ", ".join(f"{rows:,} {table}" for table, rows in self._rows.items())
        line = f"{self._verb} {counts} in {now - self._began_at:,.0f} s"
        start, end = ("\r\x1b[K", "") if self._is_terminal else ("", "\n")
        print(start + line, end=end, file=sys.stderr, flush=True)
