"""
Freeze values at the call, cheaply: what the application changes afterwards is not seen.

Builtins are frozen at C speed by ``marshal``; its bytes never leave the process. What it refuses
is copied value by value into builtins and a few immutable types. Nothing here raises for a value.
"""

import marshal
import sys
from array import array
from gc import get_referents
from sys import getrefcount

from aicore_sqllog.values.limits import MAX_BYTES, MAX_DEPTH, MAX_VALUES, Budget
from aicore_sqllog.values.scalars import LEAVES, describe
from aicore_sqllog.values.tree import copy_values

__all__ = ["Frozen", "describe", "freeze", "thaw"]

Frozen = bytes | tuple[object, ...]
"""Values that can no longer change: marshalled, or copied."""

_VALUE_BYTES = 16

_BUILTINS = LEAVES | {dict, list, tuple, set, frozenset}

_ARRAY_REFERENCES = getrefcount(array)


def freeze(values: tuple[object, ...]) -> tuple[Frozen, int]:
    """Return *values* frozen, and their size in bytes."""
    try:
        # marshal takes whatever has a buffer for bytes: a number of NumPy's would come back as its memory. An instance
        # of array holds its class: as long as nobody has one or has imported the class, there is nothing to look for.
        no_buffers = getrefcount(array) <= _ARRAY_REFERENCES and "numpy" not in sys.modules
        if no_buffers or _are_builtins(values):
            packed = marshal.dumps(values)  # type: ignore[arg-type]  # refused values raise
            if len(packed) <= MAX_BYTES:
                return packed, len(packed)
    except (ValueError, RecursionError):
        pass
    budget = Budget()
    copied = tuple(copy_values(values, budget))
    return copied, budget.bytes_read + budget.values_read * _VALUE_BYTES


def thaw(frozen: Frozen) -> tuple[object, ...]:
    """Return the values that were frozen."""
    if type(frozen) is not bytes:
        return frozen  # type: ignore[return-value]
    values: tuple[object, ...] = marshal.loads(frozen)
    return values


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
