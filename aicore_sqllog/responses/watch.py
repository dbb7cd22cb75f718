"""
What has come of a stream, and what became of it.
"""

import time
from collections.abc import Callable
from typing import Any, Literal

from aicore_sqllog.responses.gather import StreamReader
from aicore_sqllog.responses.read import read_response

__all__ = ["State", "Watch"]

State = Literal["new", "open", "ended", "failed", "closed"]

_SNAPSHOTS = ("current_message_snapshot", "current_completion_snapshot")
"""Where SDKs keep the answer so far."""


class Watch:
    """
    The chunks of a stream so far, and its state.

    Whoever reads the stream holds it: when it is freed before the end, the stream has been left.
    """

    def __init__(self, on_content: Callable[[], None]) -> None:
        self.state: State = "new"
        self.error: BaseException | None = None
        self.on_end: Callable[[Watch], None] = lambda watch: None
        """Called when the stream has ended, failed or been closed."""
        self.moved_at = time.perf_counter()
        """When the last chunk came, or the end."""
        self.read_past: Any = None
        """The source, where something of it was handed out by which it can be read unseen."""
        self._on_content = on_content
        self._reader = StreamReader()
        self._has_content = False

    def __del__(self) -> None:
        if self.__dict__.get("state") in ("new", "open"):
            self._settle("closed", None)

    @property
    def is_unread(self) -> bool:
        """Whether nothing of the stream has been read yet, as far as can be known."""
        return self.state == "new" and self.read_past is None

    def take(self, chunk: object) -> None:
        """Hear the next chunk."""
        self.moved_at = time.perf_counter()
        if self.state == "new":
            self.state = "open"
        self._reader.add(chunk)
        if not self._has_content and self._reader.has_content:
            self._has_content = True
            self._on_content()

    def end(self, state: State, error: BaseException | None = None) -> None:
        """Hear what became of the stream; only the first time counts."""
        if self.state in ("new", "open"):
            self.moved_at = time.perf_counter()
            self._settle(state, error)

    def result(self) -> dict[str, Any]:
        """Return the fields that the chunks told; of a stream that did not come to its end, that too."""
        found: dict[str, Any] = dict(self._reader.result())
        notes: dict[str, object] = {"chunks": self._reader.count, "state": self.state}
        if self.state != "ended" and self.read_past is not None and not self._reader.is_complete:
            found, notes["state"] = {**found, **_snapshot_of(self.read_past)}, "read elsewhere"
        elif self.state in ("new", "closed") and not self._reader.is_complete:
            notes["state"] = "abandoned"
            found["finish_reason"] = found.get("finish_reason") or "abandoned"
            found.setdefault("status", "cancelled")
        found["extras"] = {**(found.get("extras") or {}), "stream": notes}
        return found

    def _settle(self, state: State, error: BaseException | None) -> None:
        self.state, self.error = state, error
        self.on_end(self)


def _snapshot_of(source: Any) -> dict[str, Any]:
    """Return the fields of the answer so far, where the SDK's stream keeps it."""
    for name in _SNAPSHOTS:
        try:
            snapshot = getattr(source, name, None)
        except Exception:
            continue
        if snapshot is not None:
            return dict(read_response(snapshot))
    return {}
