"""
Freeze values at the call, cheaply: what the application changes afterwards is not seen.

Builtins are frozen at C speed by ``marshal``; its bytes never leave the process. What it refuses
is copied value by value into builtins and a few immutable types. Nothing here raises for a value.
"""

import dataclasses
import marshal
import numbers
import sys
from collections.abc import Callable, Mapping, Sequence, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

__all__ = ["Frozen", "describe", "freeze", "thaw"]

Frozen = bytes | tuple[object, ...]
"""Values that can no longer change: marshalled, or copied."""

_MAX_DEPTH = 200
_MAX_NODES = 200_000
_MAX_REPR = 10_000
_NODE_BYTES = 16

_LEAVES = frozenset({str, int, float, bool, type(None), bytes, complex, datetime, date, time, timedelta, UUID, Decimal})
_CONTAINERS = frozenset({dict, list, tuple, set, frozenset})


def freeze(values: tuple[object, ...]) -> tuple[Frozen, int]:
    """Return *values* frozen, and their size in bytes."""
    try:
        # marshal takes anything with a buffer for bytes: a NumPy number would come back as its memory.
        if "numpy" not in sys.modules or _is_builtin(values, _MAX_DEPTH):
            packed = marshal.dumps(values)  # type: ignore[arg-type]  # refused values raise
            return packed, len(packed)
    except (ValueError, RecursionError):
        pass
    copier = _Copier()
    copied = tuple(copier.copy(value, 0) for value in values)
    return copied, copier.size


def thaw(frozen: Frozen) -> tuple[object, ...]:
    """Return the values that were frozen."""
    if type(frozen) is not bytes:
        return frozen  # type: ignore[return-value]
    values: tuple[object, ...] = marshal.loads(frozen)
    return values


def describe(value: object) -> str:
    """Return ``repr(value)``, cut, or what can be said of an object whose ``repr`` raises."""
    try:
        text = repr(value)
    except Exception as exc:
        return f"<{type(value).__qualname__}: its repr raised {type(exc).__qualname__}>"
    return text if len(text) <= _MAX_REPR else text[:_MAX_REPR] + "…"


def _is_builtin(value: object, depth: int) -> bool:
    kind = type(value)
    if kind in _LEAVES:
        return True
    if kind not in _CONTAINERS or depth == 0:
        return False
    if kind is dict:
        return all(_is_builtin(item, depth - 1) for item in value.values())  # type: ignore[attr-defined]
    return all(_is_builtin(item, depth - 1) for item in value)  # type: ignore[attr-defined]


class _Copier:
    """Copies a value into builtins, within bounds of depth and size, so that no object can stall the caller."""

    def __init__(self) -> None:
        self.size = 0
        self._nodes_left = _MAX_NODES
        self._parents: set[int] = set()

    def copy(self, value: object, depth: int) -> object:
        self.size += _NODE_BYTES
        self._nodes_left -= 1
        kind = type(value)
        if kind in _LEAVES:
            if kind is str or kind is bytes:
                self.size += sys.getsizeof(value)
            return value
        if depth > _MAX_DEPTH or self._nodes_left < 0 or id(value) in self._parents:
            return "<nested too deeply, too large or within itself>"
        self._parents.add(id(value))
        try:
            return self._copy_object(value, depth + 1)
        except Exception:
            return self.copy(describe(value), depth)
        finally:
            self._parents.discard(id(value))

    def _copy_object(self, value: Any, depth: int) -> object:
        for kinds, plain in _AS_BUILTIN:
            if isinstance(value, kinds):
                return self.copy(plain(value), depth)
        if isinstance(value, Mapping):
            return {self._copy_key(key): self.copy(item, depth) for key, item in value.items()}
        if isinstance(value, Sequence | Set):
            return [self.copy(item, depth) for item in value]
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {field.name: self.copy(getattr(value, field.name), depth) for field in dataclasses.fields(value)}
        for method in ("model_dump", "to_dict", "tolist"):  # pydantic, many SDKs, NumPy
            convert = getattr(type(value), method, None)
            if callable(convert):
                return self.copy(convert(value), depth)
        return self.copy(describe(value), depth)

    def _copy_key(self, key: object) -> object:
        self.size += _NODE_BYTES + (sys.getsizeof(key) if isinstance(key, str) else 0)
        return key if type(key) in _LEAVES else describe(key)


_AS_BUILTIN: tuple[tuple[type | tuple[type, ...], Callable[[Any], object]], ...] = (
    (Enum, lambda value: value.value),
    (str, lambda value: str.__str__(value)),
    ((bytes, bytearray, memoryview), bytes),
    (numbers.Integral, int),
    (numbers.Real, float),
    (PurePath, str),
    (datetime, lambda value: datetime.fromisoformat(value.isoformat())),
)
