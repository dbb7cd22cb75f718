"""
Freeze values at the call, cheaply: what the application changes afterwards is not seen.

Builtins are frozen at C speed by ``marshal``; its bytes never leave the process. What it refuses
is copied value by value into builtins and a few immutable types. Nothing here raises for a value.
"""

import marshal
import sys
from array import array
from gc import get_referents
from sys import getrefcount, getsizeof
from typing import Any, NamedTuple

from aicore_sqllog.values.limits import MAX_BYTES, MAX_DEPTH, MAX_VALUES, Budget
from aicore_sqllog.values.scalars import LEAVES, describe
from aicore_sqllog.values.tree import copy_values

__all__ = ["Frozen", "describe", "freeze", "thaw"]


class _Apart(NamedTuple):
    """Values of which some are no builtins: these apart, with their positions, and the others marshalled."""

    packed: bytes
    apart: tuple[tuple[int, object], ...]


Frozen = bytes | _Apart | tuple[object, ...]
"""Values that can no longer change: marshalled, partly marshalled, or copied."""

_VALUE_BYTES = 16

_MARSHALLED = frozenset({str, int, float, bool, type(None), bytes, complex})
_TEXT = frozenset({str})
_SHORT = 4_096
"""Bytes: what takes as many is copied with all the others, within their budget."""

_FEW = 32
_BUILTINS = LEAVES | {dict, list, tuple, set, frozenset}

_ARRAY_REFERENCES = getrefcount(array)


def freeze(values: tuple[object, ...]) -> tuple[Frozen, int]:
    """Return *values* frozen, and their size in bytes."""
    packed = _pack(values)
    if packed is not None:
        return packed, len(packed)
    found = _freeze_apart(values)
    if found is not None:
        return found
    budget = Budget()
    copied = tuple(copy_values(values, budget))
    return copied, budget.bytes_read + budget.values_read * _VALUE_BYTES


def thaw(frozen: Frozen) -> tuple[object, ...]:
    """Return the values that were frozen."""
    if type(frozen) is bytes:
        values: tuple[object, ...] = marshal.loads(frozen)
        return values
    if type(frozen) is _Apart:
        items: list[object] = list(marshal.loads(frozen.packed))
        for position, value in frozen.apart:
            items[position] = dict(value) if type(value) is dict else value
        return tuple(items)
    return frozen  # type: ignore[return-value]


def _pack(values: tuple[object, ...]) -> bytes | None:
    """Return *values* marshalled; None where they hold what is no builtin, or too much."""
    try:
        # marshal takes whatever has a buffer for bytes: a number of NumPy's would come back as its memory. An instance
        # of array holds its class: as long as nobody has one or has imported the class, there is nothing to look for.
        no_buffers = getrefcount(array) <= _ARRAY_REFERENCES and "numpy" not in sys.modules
        if no_buffers or _are_builtins(values):
            packed = marshal.dumps(values)  # type: ignore[arg-type]  # refused values raise
            if len(packed) <= MAX_BYTES:
                return packed
    except (ValueError, RecursionError):
        pass
    return None


def _freeze_apart(values: tuple[object, ...]) -> tuple[Frozen, int] | None:
    """Return *values* with dates, ids and the like apart; None where there is more that is no builtin."""
    rest: list[object] = list(values)
    apart: list[tuple[int, object]] = []
    size = 0
    for position, value in enumerate(values):
        kind = type(value)
        if kind in _MARSHALLED or kind is list:
            continue
        taken = _size_of_small(value) if kind is dict else getsizeof(value) if kind in LEAVES else _SHORT
        if taken < _SHORT:
            apart.append((position, dict(value) if kind is dict else value))  # type: ignore[call-overload]
            rest[position] = None
            size += taken
    packed = _pack(tuple(rest)) if apart else None
    return None if packed is None else (_Apart(packed, tuple(apart)), size + len(packed))


def _size_of_small(value: Any) -> int:
    """Return the bytes of a mapping of a few single values under names, of which a copy is soon made; else many."""
    is_flat = len(value) <= _FEW and LEAVES.issuperset(map(type, value.values())) and _TEXT.issuperset(map(type, value))
    return getsizeof(value) + sum(map(len, value)) + sum(map(getsizeof, value.values())) if is_flat else _SHORT


def _are_builtins(values: tuple[object, ...]) -> bool:
    """Whether *values* hold nothing but builtins, and not more than is read of them; level by level, at C speed."""
    level: list[object] | tuple[object, ...] = values
    seen = 0
    for _ in range(MAX_DEPTH):
        seen += len(level)
        if seen > MAX_VALUES or not _BUILTINS.issuperset(map(type, level)):
            return False
        level = get_referents(*level)
        if not level:
            return True
    return False
