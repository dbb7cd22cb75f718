"""
Numbers out of nested mappings, by tables of dotted paths.
"""

from collections.abc import Mapping
from typing import Any

__all__ = ["Paths", "as_count", "as_index", "as_name", "at_path", "read_counts", "total"]

Paths = Mapping[str, tuple[str, ...]]
"""The field of a record, and where its value may stand; the first place that has one is taken."""


def at_path(value: Any, path: str) -> Any:
    """Return what stands at a dotted *path*, where a number is an index; None if there is nothing."""
    for step in path.split("."):
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def as_count(value: object) -> int | None:
    """Return a whole number of 0 or more; None for whatever else, so that unknown never becomes 0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if value >= 0 and value == value // 1 else None


def as_index(value: object) -> int:
    """Return the place that a chunk says it belongs to; 0 where it says none."""
    return value if isinstance(value, int) else 0


def as_name(value: object) -> str | None:
    """Return a text that says something, or a number as its digits (some providers' error codes)."""
    if isinstance(value, str):
        return value or None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def read_counts(usage: object, paths: Paths) -> dict[str, int]:
    """Return the counts that *usage* tells."""
    found: dict[str, int] = {}
    for field, places in paths.items():
        for place in places:
            count = as_count(at_path(usage, place))
            if count is not None:
                found[field] = count
                break
    return found


def total(*counts: int | None) -> int | None:
    """Return the sum of the known ones; None where none is known."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
