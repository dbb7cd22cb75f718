"""
What calls are grouped by: columns that name something, and members of ``extras``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import sqlalchemy as sa

from aicore_sqllog.querying.columns import FRAME_COLUMNS, OPERATIONS
from aicore_sqllog.querying.filter_values import read_path
from aicore_sqllog.querying.filters import nearest
from aicore_sqllog.record import columns
from aicore_sqllog.storage.expressions import json_text

__all__ = ["GROUPABLE", "By", "GroupKey", "group_key", "group_keys"]

By: TypeAlias = str | tuple[str | int, ...] | Sequence[str | tuple[str | int, ...]] | None
"""A column, a path ``("extras", key, ...)``, or several of them."""

GROUPABLE = tuple(column.key for column in columns.OPERATIONS if column.is_groupable)
"""The columns that calls can be grouped by."""

_EXTRAS = "extras"


@dataclass(frozen=True, slots=True)
class GroupKey:
    """One column of a grouping."""

    name: str
    """The frame's column: the path's steps are joined by dots."""
    expression: sa.ColumnElement[Any]


def group_keys(by: By) -> list[GroupKey]:
    """
    Return the keys that *by* names, in its order.

    Raises:
        ValueError: If one is no such column or path, or two would have the same name.
    """
    parts: Iterable[Any] = [] if by is None else [by] if isinstance(by, str) or _is_path(by) else by
    keys = [group_key("by", part) for part in parts]
    names = [key.name for key in keys]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"by={by!r} cannot be right: two columns of the frame would be called {name!r}.")
    return keys


def group_key(argument: str, part: Any) -> GroupKey:
    """Return the key that *part*, given as *argument*, names."""
    if _is_path(part):
        steps = read_path(argument, part[1:])
        name = ".".join([_EXTRAS, *map(str, steps)])
        return GroupKey(name, json_text(OPERATIONS.c.extras, *(sa.literal(s, _type_of(s)) for s in steps)))
    if part not in GROUPABLE:
        raise ValueError(
            f"{argument}={part!r}: calls have no such groups.{nearest(str(part), GROUPABLE)} "
            f"Allowed: {', '.join(GROUPABLE)}, or a path such as ('extras', 'project')."
        )
    return GroupKey(part, FRAME_COLUMNS[part].selected())


def _is_path(part: Any) -> bool:
    return isinstance(part, tuple) and len(part) > 1 and part[0] == _EXTRAS


def _type_of(step: str | int) -> sa.types.TypeEngine[Any]:
    return sa.BigInteger() if isinstance(step, int) else sa.Text()
