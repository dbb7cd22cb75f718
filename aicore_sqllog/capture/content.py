"""
A record's values, sorted: fields of the contract, the caller's extras, and what we note beside them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aicore_sqllog import identity
from aicore_sqllog.capture.convert import to_text
from aicore_sqllog.capture.encode import to_json
from aicore_sqllog.capture.fields import FIELDS, GROUP_KEY
from aicore_sqllog.capture.freeze import thaw
from aicore_sqllog.capture.snapshot import Snapshot

__all__ = ["Content", "sort_content"]

_OWN_KEY = "sqllog"
"""The one key of ``extras`` that is ours."""

T = TypeVar("T")


@dataclass(slots=True)
class Content:
    """A record's values, sorted: fields of the contract, the caller's extras, and what we note beside them."""

    fields: dict[object, object] = field(default_factory=dict)
    extras: dict[object, object] = field(default_factory=dict)
    own: dict[str, object] = field(default_factory=dict)
    invalid: dict[str, object] = field(default_factory=dict)
    shadowed: dict[object, object] = field(default_factory=dict)

    def add(self, values: Mapping[Any, object]) -> None:
        """Sort *values* in; a name that is there already keeps the value that it has."""
        rest = dict(values)
        extras = rest.pop("extras", None)
        if isinstance(extras, dict):
            self._add_to(self.extras, extras)
        elif extras is not None:
            self.invalid["extras"] = extras
        for name, value in rest.items():
            self._add_to(self.fields if name in FIELDS else self.extras, {name: value})

    def _add_to(self, target: dict[object, object], values: Mapping[Any, object]) -> None:
        for name, value in values.items():
            if name in target:
                self.shadowed[name] = value
            else:
                target[name] = value

    def take(self, name: str, convert: Callable[[object], tuple[T | None, bool]]) -> T | None:
        """Return the field as its column takes it; a raw value that was not right is kept."""
        raw = self.fields.get(name)
        if raw is None:
            return None
        value, is_right = convert(raw)
        if not is_right:
            self.invalid[name] = raw
        return value

    def take_id(self, name: str) -> str | None:
        """Return the operation id that the caller gave: a UUID as it is, of any other text a UUIDv5."""
        raw = self.fields.get(name)
        if raw is None:
            return None
        found = identity.parse_uuid(raw)
        if found is None:
            text = self.take(name, to_text) or ""
            self.own[name] = raw
            found = identity.operation_id(text)
        return found

    def extras_json(self, snapshot: Snapshot) -> str:
        """Return the extras with ours under the key ``sqllog``, as JSON text."""
        own: dict[str, object] = {"message": snapshot.message, "logger": snapshot.logger, "level": snapshot.level}
        own.update(self.own)
        if snapshot.note:
            own["note"] = snapshot.note
        if snapshot.stack:
            own["stack"] = snapshot.stack
        if _OWN_KEY in self.extras:
            own["user"] = self.extras.pop(_OWN_KEY)
        if self.invalid:
            own["invalid"] = self.invalid
        if self.shadowed:
            own["shadowed"] = self.shadowed
        return to_json({**self.extras, _OWN_KEY: own})


def sort_content(snapshot: Snapshot) -> Content:
    """
    Return the values of *snapshot*, sorted.

    What stands under ``llm`` wins over a loose attribute of the same name, and a key of ``extras``
    over a loose attribute that has its name; the losers are kept as shadowed.
    """
    content = Content()
    loose = dict(zip(snapshot.names, thaw(snapshot.values), strict=True))
    grouped = loose.pop(GROUP_KEY, None)
    if isinstance(grouped, dict):
        content.add(grouped)
    elif grouped is not None:
        content.invalid[GROUP_KEY] = grouped
    content.add(loose)
    return content
