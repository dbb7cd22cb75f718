"""
Which records are plain, told by their names and then column by column: see ``plain_records``.

A value is plain that its column takes as it is, so that nothing of it has to be changed, replaced or noted.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import compress
from typing import Any, NamedTuple
from uuid import UUID

from aicore_sqllog.capture.fields import GROUP_KEY, NOTES_KEY
from aicore_sqllog.capture.media import may_hold_media
from aicore_sqllog.capture.snapshot import Snapshot
from aicore_sqllog.record.aliases import ALIASES
from aicore_sqllog.record.columns import OPERATIONS, ColumnKind
from aicore_sqllog.record.notes import OWN_KEY
from aicore_sqllog.values.convert import MAX_COUNT, to_instant
from aicore_sqllog.values.ids import parse_uuid
from aicore_sqllog.values.text import NAME_LENGTH, clean_text

__all__ = ["FILLED", "LONG_TEXT", "Opened", "Shape", "Table", "find_odd", "is_plain_name", "shape_of"]

LONG_TEXT = 64
"""Shorter texts hold no media."""

FILLED = ("session_id", "workspace", "agent_id", "user_id")
"""What a record that carries none gets from what holds around it."""

_MAX_SHAPES = 1_000


class Shape(NamedTuple):
    """What is known of all records with the same names."""

    names: tuple[str, ...]
    fields: tuple[str, ...]
    """Those that are fields, and those that are filled from what holds around a record."""
    loose: tuple[str, ...]
    """The names that are no fields: their values go into the extras."""
    not_in_extras: frozenset[str]
    """Keys of the extras that need more than to be stored."""


class _Plain(NamedTuple):
    """Which values of one field are plain."""

    classes: frozenset[type]
    holds: Callable[[Any], bool] = lambda value: True


def is_plain_name(text: str) -> bool:
    """Whether *text* is a name that can be stored as it is."""
    return 0 < len(text) <= NAME_LENGTH and _is_storable(text)


def _is_storable(text: str) -> bool:
    return clean_text(text) == text and (len(text) < LONG_TEXT or not may_hold_media(text))


def _classes(*classes: type) -> frozenset[type]:
    return frozenset({type(None), *classes})


_NONE = _Plain(_classes())
_NAME = _Plain(_classes(str), is_plain_name)
_ID = _Plain(_classes(str), lambda text: parse_uuid(text) is not None)
_OF_KIND: Mapping[ColumnKind, _Plain] = {
    ColumnKind.NAME: _NAME,
    ColumnKind.ID: _ID,
    ColumnKind.COUNT: _Plain(_classes(int, float), lambda number: 0 <= number <= MAX_COUNT),
    ColumnKind.AMOUNT: _Plain(_classes(float), math.isfinite),
    ColumnKind.INSTANT: _Plain(_classes(datetime), lambda moment: to_instant(moment)[1]),
}

_PLAIN: Mapping[str, _Plain] = {
    **{column.key: _OF_KIND.get(column.kind, _NONE) for column in OPERATIONS if column.is_field},
    **dict.fromkeys(("error_type", "error_message", "session_metadata"), _NONE),  # errors are settled one by one
    "session_id": _Plain(_classes(str, UUID), lambda value: type(value) is UUID or is_plain_name(value)),
    "status": _Plain(_classes(str), lambda text: text != "error" and is_plain_name(text)),
    "capture_content": _Plain(_classes(bool), lambda wish: wish is not False),
    "extras": _Plain(_classes(dict)),
    # One that begins like JSON may be a provider's answer.
    "response": _Plain(_classes(str), lambda text: not (text[:1].isspace() or text[:1] in ("{", "["))),
    "messages": _Plain(_classes(list, str)),
    "completion_args": _NONE,
    NOTES_KEY: _Plain(_classes(dict)),
}
_UNHASHABLE = frozenset({"extras", "messages", NOTES_KEY})

_SHAPES: dict[tuple[bool, tuple[Any, ...]], Shape | None] = {}


def shape_of(names: tuple[Any, ...], is_group: bool) -> Shape | None:
    """
    Return what is known of records with *names*; None where none of them can be plain.

    Args:
        names: What a record carries.

        is_group: Whether it carries them under one key.
    """
    key = (is_group, names)
    if key not in _SHAPES:
        if len(_SHAPES) >= _MAX_SHAPES:  # an application that makes up names for ever must not fill the memory
            _SHAPES.clear()
        _SHAPES[key] = _make_shape(names) if _may_be_plain(names, is_group) else None
    return _SHAPES[key]


def _may_be_plain(names: Iterable[Any], is_group: bool) -> bool:
    refused = {GROUP_KEY, OWN_KEY} if is_group else {GROUP_KEY, OWN_KEY, NOTES_KEY}
    return all(
        type(name) is str and name not in ALIASES and name not in refused and not name.startswith(f"{NOTES_KEY}.")
        for name in names
    )


def _make_shape(names: tuple[str, ...]) -> Shape:
    fields = dict.fromkeys([*(name for name in names if name in _PLAIN), *FILLED, "parent_operation_id"])
    loose = tuple(name for name in names if name not in _PLAIN)
    return Shape(names, tuple(fields), loose, frozenset({OWN_KEY, "capture_content", *loose}))


def find_odd(name: str, column: Sequence[Any]) -> Iterable[int]:
    """Return which values of a field's column are not plain, nearly always none, which is told at C speed."""
    classes, holds = _PLAIN[name]
    are_right = classes.issuperset(map(type, column))
    if are_right and (name in _UNHASHABLE or all(value is None or holds(value) for value in set(column))):
        return ()
    return [
        number
        for number, value in enumerate(column)
        if value is not None and not (type(value) in classes and holds(value))
    ]


class Opened(NamedTuple):
    """A snapshot with its values, and which of the batch it is."""

    number: int
    snapshot: Snapshot
    values: tuple[object, ...]


class Table:
    """Records of one shape as columns by name; a name that is not there is a column of None."""

    def __init__(self, shape: Shape, opened: list[Opened]) -> None:
        self.shape = shape
        self.opened = opened
        self.odd: set[int] = set()
        """Which of them are not plain."""
        self._columns: dict[str, Sequence[Any]] = dict(
            zip(shape.names, zip(*(each.values for each in opened), strict=True), strict=True)
        )
        self._nothing: tuple[None, ...] = (None,) * len(opened)

    def __getitem__(self, name: str) -> Sequence[Any]:
        return self._columns.get(name, self._nothing)

    def __setitem__(self, name: str, column: Sequence[Any]) -> None:
        self._columns[name] = column

    def take_out_odd(self) -> None:
        """Leave only what is plain."""
        if self.odd:
            kept = [number not in self.odd for number in range(len(self.opened))]
            self.opened = list(compress(self.opened, kept))
            self._columns = {name: list(compress(column, kept)) for name, column in self._columns.items()}
            self._nothing = self._nothing[: len(self.opened)]
            self.odd = set()
