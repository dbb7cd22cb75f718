"""
What the queue may do to a snapshot that waits: make it lighter, and keep its frozen values in another place.
"""

from typing import Any

from aicore_sqllog.capture.fields import GROUP_KEY
from aicore_sqllog.capture.snapshot import Snapshot, size_of
from aicore_sqllog.values.freeze import freeze, thaw

__all__ = ["SnapshotPacking"]

_CONTENT_FIELDS = frozenset(
    {"messages", "response", "completion_args", "gen_ai.input.messages", "gen_ai.output.messages"}
)


class SnapshotPacking:
    """Snapshots; their messages are what they can spare."""

    def lighten(self, snapshot: Snapshot) -> tuple[Snapshot, int] | None:
        """Return *snapshot* without its messages, and its size; None if it has none. All else it says is kept."""
        values = dict(zip(snapshot.names, thaw(snapshot.values), strict=True))
        kept, group = _without_messages(values), values.get(GROUP_KEY)
        left_out = len(values) - len(kept)
        if isinstance(group, dict):
            kept[GROUP_KEY] = kept_of_group = _without_messages(group)
            left_out += len(group) - len(kept_of_group)
        if not left_out:
            return None
        frozen, size = freeze(tuple(kept.values()))
        size = size_of(size, snapshot.message, snapshot.stack, *(snapshot.failure or ()))
        note = "the messages were left out because the queue was full"
        return snapshot._replace(names=tuple(kept), values=frozen, size=size, note=note), size

    def unload(self, snapshot: Snapshot) -> tuple[Snapshot, bytes] | None:
        """Return *snapshot* without its values, and these; None where they are not packed."""
        values = snapshot.values
        return (_with_values(snapshot, b""), values) if type(values) is bytes else None

    def load(self, snapshot: Snapshot, packed: bytes) -> Snapshot:
        """Return *snapshot* with its values."""
        return _with_values(snapshot, packed)


_VALUES = Snapshot._fields.index("values")


def _with_values(snapshot: Snapshot, values: bytes) -> Snapshot:
    # What _replace does, at half its cost: this is done within a log call.
    return Snapshot._make((*snapshot[:_VALUES], values, *snapshot[_VALUES + 1 :]))


def _without_messages(values: dict[Any, object]) -> dict[Any, object]:
    return {name: value for name, value in values.items() if name not in _CONTENT_FIELDS}
