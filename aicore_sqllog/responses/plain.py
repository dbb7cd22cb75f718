"""
Any object as builtins, without knowing its class: pydantic models, plain objects, mappings.

Reads what the object holds and calls nothing of its own where that can be avoided: a model's own dump stops at
the first field it dislikes, and an SDK's convenience properties warn or compute.
"""

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

__all__ = ["class_name", "to_plain"]

_LEAVES = frozenset({str, int, float, bool, type(None)})
_MAX_DEPTH = 40
_MAX_NODES = 100_000
_VECTOR_LENGTH = 32
"""From here on a list of floats is an embedding; only its length is kept."""

_TEXTUAL = (Decimal, UUID, PurePath, time, timedelta)
_SKIPPED = frozenset(
    {"snapshot", "parsed", "parsed_arguments", "output_parsed", "api_key", "headers", "auth", "client", "session"}
)
"""What SDKs make of an answer and hold beside it, once more; and what may hold a key."""

_CLOSED = frozenset({"httpx", "httpx2", "httpcore", "requests", "urllib3", "aiohttp"})
"""Libraries whose objects lead to the request, and so to its keys; they are named, not read."""


def to_plain(value: object) -> Any:
    """Return *value* as dicts, lists, texts and numbers that belong to nobody else; never raises.

    An embedding's vector becomes ``{"dimensions": n}``.
    """
    return _Copier().copy(value, 0)


def class_name(value: object) -> str:
    """Return the class of what cannot be read; its ``repr`` might hold a key, or raise."""
    return f"<{type(value).__module__}.{type(value).__qualname__}>"


class _Copier:
    """Copies within bounds of depth and size, so that no object can stall the caller."""

    def __init__(self) -> None:
        self._nodes_left = _MAX_NODES

    def copy(self, value: Any, depth: int) -> Any:
        if type(value) in _LEAVES:
            return value
        self._nodes_left -= 1
        if depth > _MAX_DEPTH or self._nodes_left < 0:
            return "<nested too deeply or too large>"
        try:
            return self._copy_object(value, depth + 1)
        except Exception:
            return class_name(value)

    def _copy_object(self, value: Any, depth: int) -> Any:
        if hasattr(type(value), "__pydantic_fields__"):  # first: nearly all that SDKs return
            return {name: self.copy(item, depth) for name, item in _model_attributes(value)}
        if isinstance(value, dict | Mapping):
            return {str(key): self.copy(item, depth) for key, item in value.items()}
        if isinstance(value, Enum):
            return self.copy(value.value, depth)
        if isinstance(value, str | int | float):
            return value
        if isinstance(value, bytes | bytearray | memoryview):
            return base64.b64encode(value).decode()
        if isinstance(value, date | datetime):
            return value.isoformat()
        if isinstance(value, Sequence | Set):
            return self._copy_items(value, depth)
        if isinstance(value, _TEXTUAL):
            return str(value)
        pairs = [] if callable(value) else _attributes(value)
        return {name: self.copy(item, depth) for name, item in pairs} if pairs else class_name(value)

    def _copy_items(self, value: Any, depth: int) -> Any:
        if len(value) >= _VECTOR_LENGTH and isinstance(value, list) and float in map(type, value[:3]):
            return {"dimensions": len(value)}
        if hasattr(type(value), "_asdict"):
            return {name: self.copy(item, depth) for name, item in value._asdict().items()}
        return [self.copy(item, depth) for item in value]


def _model_attributes(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a pydantic model holds, under the names of the wire; a field that nobody gave has none."""
    fields, given = type(model).__pydantic_fields__, model.__pydantic_fields_set__
    for name, item in model.__dict__.items():
        if (item is not None or name in given or name not in fields) and name[0] != "_" and name not in _SKIPPED:
            field = fields.get(name)
            yield (field and (field.serialization_alias or field.alias)) or name, item
    yield from (model.__pydantic_extra__ or {}).items()


def _attributes(value: Any) -> list[tuple[str, Any]]:
    """Return what an object holds; nothing of a stream, which must not be read, or of an HTTP library's object."""
    kind = type(value)
    if hasattr(kind, "__next__") or hasattr(kind, "__anext__") or kind.__module__.partition(".")[0] in _CLOSED:
        return []
    held = vars(value) if hasattr(value, "__dict__") else {}
    public = [(name, item) for name, item in held.items() if name[:1] != "_" and name not in _SKIPPED]
    if not public and callable(to_dict := getattr(kind, "to_dict", None)):
        return list(to_dict(value).items())
    return public or list(_computed(value))


def _computed(value: object) -> Iterable[tuple[str, Any]]:
    """Yield the slots and properties of an object that has no dictionary; those that raise are left out."""
    for name in dir(type(value)):
        if name[0] == "_" or not hasattr(getattr(type(value), name), "__set__"):
            continue
        try:
            yield name, getattr(value, name)
        except Exception:
            continue
