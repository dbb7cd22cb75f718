"""
What an object holds: as pairs, as items, or as one value, told by what it is and does.

Reads as little as it can by code of the object's own: a model's dump stops at the first field that it
dislikes, and warns. Generators and streams are never read: what they would yield is the application's.
"""

import dataclasses
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from enum import Enum
from typing import Any

from aicore_sqllog.values.limits import Budget
from aicore_sqllog.values.scalars import as_leaf, describe

__all__ = ["Items", "ObjectReader", "Pairs", "model_fields", "read_object"]


class Pairs:
    """Names and values that are read one by one, perhaps by code of the application's."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        self.pairs = pairs


class Items:
    """Values in order that are read one by one, perhaps by code of the application's."""

    __slots__ = ("items",)

    def __init__(self, items: Iterable[Any]) -> None:
        self.items = items


ObjectReader = Callable[[object, Budget], object]
"""Returns a single value, a builtin container, :class:`Pairs` or :class:`Items`."""


def read_object(value: Any, budget: Budget, opaque: Callable[[object], str] = describe) -> object:
    """Return what *value* holds; of an object that holds nothing known what *opaque* says of it."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return Pairs(value.items())
    fields = model_fields(value)
    if fields is not None:
        return fields
    try:
        return as_leaf(value)
    except (TypeError, ValueError):
        return _read_collection(value, budget, opaque)


def model_fields(value: Any, *, by_alias: bool = False) -> object:
    """
    Return what a pydantic model, a dataclass, an ``attrs`` object, a ``msgspec`` struct or a named tuple holds.

    None for any other object.
    """
    kind = type(value)
    if hasattr(kind, "__pydantic_fields__"):
        return _pydantic_fields(value, by_alias)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names: Iterable[str] = [field.name for field in dataclasses.fields(value)]
    elif isinstance(value, tuple) and hasattr(kind, "_fields"):
        return Pairs(zip(kind._fields, value, strict=False))
    else:
        names = getattr(kind, "__struct_fields__", None) or [a.name for a in getattr(kind, "__attrs_attrs__", ())]
        if not names:
            return None
    return Pairs((name, getattr(value, name)) for name in names if hasattr(value, name))


def _pydantic_fields(model: Any, by_alias: bool) -> object:
    kind = type(model)
    decorators = getattr(kind, "__pydantic_decorators__", None)
    if getattr(decorators, "field_serializers", None) or getattr(decorators, "model_serializers", None):
        return model.model_dump(warnings=False)  # the model's own way of showing itself may hide what it must
    if getattr(kind, "__pydantic_root_model__", False):
        return model.root
    return Pairs(itertools.chain(_declared_fields(model, by_alias), _computed_fields(model)))


def _declared_fields(model: Any, by_alias: bool) -> Iterator[tuple[str, Any]]:
    fields = type(model).__pydantic_fields__
    held = itertools.chain(model.__dict__.items(), (model.__pydantic_extra__ or {}).items())
    for name, item in held:
        field = fields.get(name)
        if field is None or field.exclude is not True:
            yield (by_alias and field and (field.serialization_alias or field.alias)) or name, item


def _computed_fields(model: Any) -> Iterator[tuple[str, Any]]:
    for name in getattr(getattr(type(model), "__pydantic_decorators__", None), "computed_fields", ()):
        try:
            yield name, getattr(model, name)
        except Exception:
            continue


def _read_collection(value: Any, budget: Budget, opaque: Callable[[object], str]) -> object:
    kind = type(value)
    if isinstance(value, bytearray | memoryview):
        return _read_buffer(memoryview(value), budget)
    cells = _cells(value)
    if cells is not None and hasattr(kind, "tolist"):
        return value.tolist() if cells <= budget.values // 2 else Items(value)
    if not hasattr(kind, "tolist") and _has_buffer(value):
        return _read_buffer(memoryview(value), budget)
    if hasattr(kind, "tolist") and hasattr(kind, "typecode"):  # array.array
        return Items(value)
    if hasattr(kind, "to_dict") and callable(kind.to_dict):
        is_small = cells is None or cells <= budget.values // 2
        return value.to_dict() if is_small else opaque(value)
    if isinstance(value, Sequence | Set | Collection) and not isinstance(value, type):
        return Items(value)
    for name in ("tolist", "model_dump"):
        if callable(getattr(kind, name, None)):
            return getattr(value, name)()
    return opaque(value)


def _cells(value: Any) -> int | None:
    """Return how many values an array or a table holds: it may be more than a list could take."""
    shape = getattr(value, "shape", None)
    if not isinstance(shape, tuple) or not all(isinstance(length, int) for length in shape):
        return None
    count = 1
    for length in shape:
        count *= length
    return count


def _has_buffer(value: Any) -> bool:
    try:
        memoryview(value).release()
    except (TypeError, ValueError, BufferError):
        return False
    return True


def _read_buffer(view: memoryview, budget: Budget) -> object:
    """Return bytes as bytes, numbers as numbers."""
    if view.format in ("B", "b", "c") or not view.format:
        return view[: budget.bytes].tobytes() if view.contiguous and view.ndim == 1 else view.tobytes()
    if view.format[0] in "<=" and view.ndim == 1:  # as ctypes has it; memoryview reads the machine's own formats only
        view = view.cast("B").cast(view.format[1:])  # type: ignore[call-overload]
    return Items(view) if view.ndim == 1 else view.tolist()
