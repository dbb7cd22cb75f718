"""
A record's values, sorted: fields of the contract, the caller's extras, and what we note beside them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from aicore_sqllog.capture.context import Surroundings
from aicore_sqllog.capture.failure import Failure
from aicore_sqllog.capture.fields import FIELDS, GROUP_KEY, NOTES_KEY
from aicore_sqllog.capture.media import DATA_KEYS, describe_data, may_hold_media
from aicore_sqllog.capture.request import lift_request
from aicore_sqllog.capture.snapshot import Snapshot
from aicore_sqllog.record.aliases import ALIASES, arrange_messages
from aicore_sqllog.record.notes import OWN_KEY
from aicore_sqllog.values import ids
from aicore_sqllog.values.convert import to_consent, to_text
from aicore_sqllog.values.freeze import thaw
from aicore_sqllog.values.json import dump_json, to_json
from aicore_sqllog.values.limits import Budget
from aicore_sqllog.values.plain_check import is_plain
from aicore_sqllog.values.scalars import LEAVES, plain_leaf
from aicore_sqllog.values.tree import TreeCopier

__all__ = ["Content", "Reader", "bare_content", "plain_tree", "sort_content"]

_NOTED = ("traceback", "cost_source", "fault")
"""What an operation may note: it travels with the record, where a queue takes the exception off it."""

T = TypeVar("T")

Reader: TypeAlias = Callable[[object], tuple[Any, bool]]
"""Returns what a column takes of a raw value, and whether that was right."""


@dataclass(slots=True)
class Content:
    """A record's values, sorted: fields of the contract, the caller's extras, and what we note beside them."""

    fields: dict[str, object] = field(default_factory=dict)
    extras: dict[object, object] = field(default_factory=dict)
    own: dict[str, object] = field(default_factory=dict)
    invalid: dict[str, object] = field(default_factory=dict)
    shadowed: dict[object, object] = field(default_factory=dict)
    aliased: dict[str, object] = field(default_factory=dict)
    failure: Failure | None = None
    surroundings: Surroundings | None = None
    run_id: str | None = None
    parent_run_id: str | None = None

    def add(self, values: Mapping[Any, object]) -> None:
        """Sort *values* in; a name that is there already keeps the value that it has."""
        rest = dict(values)
        # No wish overrules another: one that wants no texts stored is enough, wherever it stands.
        consents = to_consent(rest.pop("capture_content", None))
        self.fields["capture_content"] = consents and self.fields.get("capture_content") is not False
        rest.pop(NOTES_KEY, None)
        extras = rest.pop("extras", None)
        for held in (extras, rest.get(GROUP_KEY)):  # a wish that stands in the wrong place is one
            if isinstance(held, dict) and not to_consent(held.get("capture_content")):
                self.fields["capture_content"] = False
        if isinstance(extras, dict):
            self._add_to(self.extras, extras)
        elif extras is not None:
            self.invalid["extras"] = extras
        for name, value in rest.items():
            target: dict[Any, object]
            target = self.fields if name in FIELDS else self.aliased if name in ALIASES else self.extras
            if name in target:
                self.shadowed[name] = value
            else:
                target[name] = value

    def _add_to(self, target: dict[Any, object], values: Mapping[Any, object]) -> None:
        for name, value in values.items():
            if name in target:
                self.shadowed[name] = value
            else:
                target[name] = value

    def resolve_aliases(self) -> None:
        """Let the names that others use fill the fields that have no value; the losers are kept as shadowed."""
        for name in [name for name in ALIASES if name in self.aliased] if self.aliased else ():
            alias, value = ALIASES[name], self.aliased[name]
            if self.fields.get(alias.field) is None:
                self.fields[alias.field] = alias.read(value)
            elif value is not None:
                self.shadowed[name] = value

    def make_plain(self) -> None:
        """
        Make all values plain within one budget, media described; every later step works on what this has made.

        Single values of fields stay what they are: a column's conversion reads them.
        """
        values = (self.fields, self.own, self.extras, self.invalid, self.shadowed)
        if is_plain(values, data_keys=DATA_KEYS, may_hold_data=may_hold_media):
            return
        budget = Budget()
        copier = TreeCopier(budget, describe_data=describe_data, data_keys=DATA_KEYS)
        self.fields = copier.begin_fields(self.fields)
        self.own, self.extras = copier.begin_fields(self.own), copier.begin(self.extras)
        self.invalid, self.shadowed = copier.begin(self.invalid), copier.begin(self.shadowed)
        copier.finish()
        if budget.places:
            self.own["left_out"] = budget.places

    def take(self, name: str, convert: Callable[[object], tuple[T | None, bool]]) -> T | None:
        """Take the field out, as its column takes it; a raw value that was not right is kept."""
        raw = self.fields.pop(name, None)
        if raw is None:
            return None
        try:
            value, is_right = convert(raw)
        except Exception:  # as of a signalling NaN, which cannot be compared
            value, is_right = None, False
        if not is_right:
            self.invalid[name] = plain_leaf(raw) if type(raw) in LEAVES else raw
        return value

    def take_all(self, readers: Iterable[tuple[str, Reader]]) -> dict[str, Any]:
        """Take the fields out that *readers* name; None for one that is not there."""
        fields = self.fields
        # Most of the columns of most records are empty: those cost no call.
        return {name: None if fields.get(name) is None else self.take(name, read) for name, read in readers}

    def take_id(self, name: str) -> str | None:
        """Take the operation id out that the caller gave: a UUID as it is, of any other text a UUIDv5."""
        found = ids.parse_uuid(self.fields.get(name))
        if found is not None:
            del self.fields[name]
            return found
        raw = self.fields.get(name)
        text = self.take(name, to_text)
        if text is None:
            return None
        self.own[name] = plain_leaf(raw) if type(raw) in LEAVES else raw
        return ids.operation_id(text)

    def extras_json(self) -> str:
        """Return the extras with ours under the key ``sqllog``, as JSON text."""
        own = dict(self.own)
        if OWN_KEY in self.extras:
            own["user"] = self.extras.pop(OWN_KEY)
        if self.invalid:
            own["invalid"] = self.invalid
        if self.shadowed:
            own["shadowed"] = self.shadowed
        return dump_json({**self.extras, OWN_KEY: own})


def plain_tree(value: object) -> object:
    """Return *value*, which came from elsewhere than the record, plain and with media described."""
    return TreeCopier(Budget(), describe_data=describe_data, data_keys=DATA_KEYS).copy(value)


def sort_content(snapshot: Snapshot) -> Content:
    """
    Return the values of *snapshot*, sorted.

    What stands under ``llm`` wins over a loose attribute of the same name, and a key of ``extras``
    over a loose attribute that has its name; the losers are kept as shadowed.
    """
    content = Content(own=_notes(snapshot), failure=snapshot.failure, surroundings=snapshot.surroundings)
    loose = dict(zip(snapshot.names, thaw(snapshot.values), strict=True))
    grouped = loose.pop(GROUP_KEY, None)
    if isinstance(grouped, dict):
        notes = grouped.get(NOTES_KEY)
        if isinstance(notes, dict):
            content.own.update({name: notes[name] for name in _NOTED if name in notes})
            content.run_id = ids.parse_uuid(notes.get("run_id"))
            content.parent_run_id = ids.parse_uuid(notes.get("parent_run_id"))
        content.add(grouped)
    elif grouped is not None:
        content.invalid[GROUP_KEY] = grouped
        if "capture_content" in to_json(grouped):  # it cannot be read, and may say that no texts are wanted
            content.fields["capture_content"] = False
    content.add(loose)
    content.resolve_aliases()
    content.make_plain()
    request = lift_request(content.fields)
    content.own.update({} if request is None else {"request": request})
    arrange_messages(content.fields, content.aliased)
    return content


def bare_content(snapshot: Snapshot) -> Content:
    """Return what can be kept of a record whose values cannot be read."""
    return Content(own=_notes(snapshot), failure=snapshot.failure, surroundings=snapshot.surroundings)


def _notes(snapshot: Snapshot) -> dict[str, object]:
    notes: dict[str, object] = {"message": snapshot.message, "logger": snapshot.logger, "level": snapshot.level}
    if snapshot.note:
        notes["note"] = snapshot.note
    if snapshot.stack:
        notes["stack"] = snapshot.stack
    return notes
