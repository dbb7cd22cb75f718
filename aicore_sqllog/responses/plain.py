"""
Any object of an SDK's as builtins, without knowing its class: pydantic models, plain objects, mappings.

Reads what the object holds, under the names of the wire, by the one copier of all values. What leads to the
network (clients, sessions, streams, an HTTP library's objects) is named and not read: it holds keys.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date
from enum import Enum
from functools import lru_cache
from numbers import Number
from pathlib import PurePath
from typing import Any
from uuid import UUID

from aicore_sqllog.values.limits import Budget
from aicore_sqllog.values.objects import Pairs, model_fields, read_object
from aicore_sqllog.values.scalars import class_name
from aicore_sqllog.values.secret_names import is_secret_name
from aicore_sqllog.values.tree import TreeCopier

__all__ = ["class_name", "to_plain"]

_HTTP_LIBRARIES = frozenset({"httpx", "httpx2", "httpcore", "requests", "urllib3", "aiohttp"})
_OF_RESOURCES = ("close", "aclose", "__enter__", "__aenter__", "__next__", "__anext__")
"""What clients, sessions, connections and streams can do, and data cannot."""

_KEYS = frozenset({"api_key", "auth", "authorization"})
_SDKS = frozenset({"openai", "anthropic"})
_REPEATED = frozenset({"snapshot", "parsed", "parsed_arguments", "output_parsed"})
"""What these SDKs make of an answer and hold beside it, once more."""


def to_plain(value: object) -> Any:
    """
    Return *value* as dicts, lists, texts and numbers that belong to nobody else; never raises.

    Dates, ids, decimals and bytes stay what they are. What is very large is read in part.
    """
    return TreeCopier(Budget(), read=_read).copy(value)


def _read(value: Any, budget: Budget) -> object:
    fields = model_fields(value, by_alias=True)
    if isinstance(fields, Pairs):
        return Pairs(_of_the_wire(value, fields.pairs))
    if fields is not None:
        return fields
    if _is_resource(value):
        return class_name(value)
    pairs = _attributes(value) if _is_plain_object(value) else None
    return Pairs(pairs) if pairs else read_object(value, budget, opaque=class_name)


def _is_resource(value: object) -> bool:
    kind = type(value)
    if _library(kind) in _HTTP_LIBRARIES:
        return True
    return any(hasattr(kind, name) for name in _OF_RESOURCES) and not isinstance(value, PurePath | memoryview)


def _is_plain_object(value: object) -> bool:
    """Whether *value* is neither a single value nor a collection nor a function: what it is, its attributes say."""
    return not (isinstance(value, Collection | Enum | Number | PurePath | date | UUID) or callable(value))


def _library(kind: type) -> str:
    return kind.__module__.partition(".")[0]


def _of_the_wire(model: Any, pairs: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Yield of a model's fields those that its JSON has: what nobody gave has no value there."""
    given = getattr(model, "__pydantic_fields_set__", None)
    is_sdk = _library(type(model)) in _SDKS
    names = _wire_names(type(model))  # type: ignore[arg-type]  # a class is hashable
    for name, item in pairs:
        is_given = given is None or item is not None or name not in names or names[name] in given
        if is_given and not (is_sdk and name in _REPEATED):
            yield name, item


@lru_cache(maxsize=512)  # a stream has thousands of models of the same few classes
def _wire_names(kind: type) -> Mapping[str, str]:
    """Return the name of each declared field, by the name that it has in JSON."""
    fields: Mapping[str, Any] = getattr(kind, "__pydantic_fields__", {})
    return {field.serialization_alias or field.alias or name: name for name, field in fields.items()}


def _attributes(value: Any) -> list[tuple[str, Any]]:
    held = vars(value).items() if hasattr(value, "__dict__") else ()
    public = [(name, item) for name, item in held if name[:1] != "_"]
    if not public and not hasattr(type(value), "to_dict"):
        public = list(_computed(value))
    return [(name, _without_keys(name, item)) for name, item in public]


def _without_keys(name: str, item: Any) -> Any:
    """Return *item*, an attribute of an object, without the keys that lead to the network."""
    if name in _KEYS and isinstance(item, str):
        return "[secret]"
    if name == "headers" and isinstance(item, Mapping):
        return {key: "[secret]" if is_secret_name(key) else value for key, value in item.items()}
    return item


def _computed(value: object) -> Iterator[tuple[str, Any]]:
    """Yield the slots and settable properties of an object that has no dictionary; those that raise are left out."""
    for name in dir(type(value)):
        if name[0] == "_" or not hasattr(getattr(type(value), name), "__set__"):
            continue
        try:
            yield name, getattr(value, name)
        except Exception:
            continue
