"""
The one walk over values: any graph of objects into a tree of plain builtins that belongs to nobody else.

What is nearest to the top is read first, so that a small field is never left out for a large one beside it. The
budget bounds the work; what is left out is marked in its place. Every later step works on the tree.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any

import orjson

from aicore_sqllog.values.limits import ALWAYS_KEPT, JSON_DEPTH, MAX_DEPTH, Budget, LeftOut
from aicore_sqllog.values.objects import Items, ObjectReader, Pairs, read_object
from aicore_sqllog.values.scalars import LEAVES, as_leaf, class_name, describe, key_text, plain_leaf
from aicore_sqllog.values.text import clean_text

__all__ = ["DescribeData", "Node", "TreeCopier", "copy_values", "number_key", "to_plain"]

_TOO_DEEP = "<left out: nested too deeply>"
_WITHIN_ITSELF = "<within itself>"
_MORE = "…"
"""The key under which a mapping says that it held more."""

_PLAIN_TEXT = 64
"""Shorter texts are no media."""

_MAX_READS = 8
"""An object may hold another that has to be read in its turn."""

_MANY = 1_000
"""What stands behind so many in one container is read after all else: little that is deep before much that is wide."""

_LONG_LIST = 16
_LARGE = 2.0**63
_NUMBERS = frozenset({int, float, bool})

_READ = LEAVES | {dict, list, tuple, set, frozenset, Items, Pairs}


class Node:
    """A container that is being copied, and where it stands."""

    __slots__ = ("depth", "is_one_of_many", "key", "parent", "source", "target")

    def __init__(self, source: object, target: Any, parent: "Node | None", key: object) -> None:
        self.source, self.target = source, target
        self.parent, self.key = parent, key
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.is_one_of_many: bool = parent is not None and (parent.is_one_of_many or len(parent.target) >= _MANY)

    def is_within(self, value: object) -> bool:
        """Whether *value* is this container, or one around it."""
        node: Node | None = self
        while node is not None:
            if node.source is value:
                return True
            node = node.parent
        return False


DescribeData = Callable[[str | bytes, Node, object], object]
"""Takes a text or bytes, what holds it and its key there; returns what is stored of it."""


class TreeCopier:
    """
    Copies values within one budget.

    Args:
        budget: What may be read.

        read: What an object holds that is no builtin.

        describe_data: Makes the tree one of JSON's values, and gets every text of some length and all bytes to
            replace what is no text. Left out, dates, ids, decimals and bytes stay as they are.

        data_keys: Where short texts are given to *describe_data* too.
    """

    def __init__(
        self,
        budget: Budget,
        *,
        read: ObjectReader = read_object,
        describe_data: DescribeData | None = None,
        data_keys: frozenset[str] = frozenset(),
    ) -> None:
        self._budget = budget
        self._read = read
        self._describe_data = describe_data
        self._data_keys = data_keys
        self._waiting: deque[tuple[Node, Any]] = deque()
        self._waiting_longer: deque[tuple[Node, Any]] = deque()
        self._folded: list[Node] = []

    def copy(self, value: object) -> Any:
        """Return the tree of *value*."""
        top = self.begin([value])
        self.finish()
        return top[0]

    def begin(self, values: Any) -> Any:
        """Return the dict or list *values* copied, its single values now, what it holds else by :meth:`finish`."""
        top: Any = {} if isinstance(values, dict) else []
        if values:
            self._fill(Node(None, top, None, None), values)
        return top

    def begin_fields(self, values: dict[Any, object]) -> dict[Any, Any]:
        """As :meth:`begin`, but numbers, dates and the like stay as they are, and so do the names."""
        top: dict[Any, Any] = {}
        node = Node(None, top, None, None)
        for name, value in values.items():
            is_raw = type(value) in LEAVES and type(value) not in (str, bytes)
            top[name] = value if is_raw else self._copy_item(value, node, name)
        return top

    def finish(self) -> None:
        """Copy what is waiting."""
        while waiting := self._waiting or self._waiting_longer:
            self._fill(*waiting.popleft())
        for node in reversed(self._folded):  # from the innermost
            node.parent.target[node.key] = orjson.dumps(node.target).decode()  # type: ignore[union-attr]

    def _fill(self, node: Node, held: Any) -> None:
        try:
            if type(node.target) is dict:
                self._fill_dict(node, node.target, held)
            else:
                self._fill_list(node, node.target, held)
        except Exception as exc:
            self._keep_marker(node, f"<left out: reading it raised {type(exc).__qualname__}>")

    def _fill_list(self, node: Node, target: list[Any], held: Any) -> None:
        items: Any = self._items(held)
        if items is held and len(held) >= _LONG_LIST and self._are_finite_numbers(held):
            target.extend(held)
            return
        append, copy = target.append, self._copy_item
        for item in items:
            append(copy(item, node, len(target)))

    def _are_finite_numbers(self, held: list[Any]) -> bool:
        """Whether *held* can be taken as it is, as nearly every long list can: a vector's."""
        if not _NUMBERS.issuperset(map(type, held)):
            return False
        if self._describe_data is None:
            return True
        try:
            return all(map(math.isfinite, held)) and -_LARGE < min(held) <= max(held) < _LARGE
        except OverflowError:
            return False

    def _fill_dict(self, node: Node, target: dict[str, Any], held: Any) -> None:
        copy, numbers = self._copy_item, dict[str, int]()
        for pair in self._pairs(held):
            if type(pair) is LeftOut:
                target[_MORE] = copy(pair, node, _MORE)
                continue
            key, item = pair
            if type(key) is not str or len(key) > _PLAIN_TEXT or not key.isidentifier():
                key = self._budget.fit(key_text(key))
            if key in target:
                key = number_key(key, target, numbers)
            target[key] = copy(item, node, key)

    def _items(self, held: Any) -> Any:
        if type(held) is list and self._budget.take_all(len(held)):
            return held
        if type(held) is Items:
            return self._budget.take_foreign(held.items)
        taken = self._budget.take(len(held))
        items: Any = held if taken == len(held) else islice(held, taken)
        if isinstance(held, set | frozenset):
            items = _in_order(items)
        return items if taken == len(held) else self._and_marker(items, len(held) - taken)

    def _pairs(self, held: Any) -> Any:
        if type(held) is Pairs:
            return self._budget.take_foreign(held.pairs)
        count = len(held)
        if self._budget.take_all(count):
            return held.items()
        taken = self._budget.take(count)
        return self._and_marker(islice(held.items(), taken), count - taken)

    def _and_marker(self, items: Iterable[Any], left_out: int) -> Iterator[Any]:
        yield from items
        yield LeftOut(f"<{left_out} more were left out>")

    def _copy_item(self, item: Any, node: Node, key: object) -> Any:
        kind = type(item)
        if kind is str:
            if len(item) < _PLAIN_TEXT and item.isascii() and "\0" not in item and key not in self._data_keys:
                return item
            return self._copy_text(item, node, key)
        if item is None or kind is bool or (kind is int and -_LARGE < item < _LARGE):
            return item
        if kind is dict or kind is list:
            return self._open(item, item, node, key)
        if kind in LEAVES:
            return self._copy_leaf(item, node, key)
        if kind is LeftOut:
            return self._copy_marker(item)
        if kind is tuple or kind is set or kind is frozenset:
            return self._open(item, item, node, key)
        return self._copy_object(item, node, key)

    def _copy_text(self, text: str, node: Node, key: object) -> object:
        if self._describe_data is None:
            return self._budget.fit(text)
        found = self._describe_data(text, node, key)
        if type(found) is not str:
            return found
        return clean_text(found if len(found) < ALWAYS_KEPT else str.__str__(self._budget.fit(found)))

    def _copy_leaf(self, leaf: Any, node: Node, key: object) -> object:
        if type(leaf) is bytes:
            leaf = self._budget.fit_bytes(leaf)
            if self._describe_data is not None:
                leaf = self._describe_data(leaf, node, key)
        return leaf if self._describe_data is None or isinstance(leaf, dict) else plain_leaf(leaf)

    def _copy_marker(self, marker: LeftOut) -> str:
        self._budget.places += 1
        return marker if self._describe_data is None else str.__str__(marker)

    def _copy_object(self, value: object, node: Node, key: object) -> Any:
        held = self._read_safely(value)
        if type(held) in LEAVES:
            return self._copy_item(held, node, key)
        return self._open(value, held, node, key)

    def _read_safely(self, value: object) -> Any:
        """Return what *value* holds: a single value, a builtin container, pairs or items."""
        held = value
        try:
            for _ in range(_MAX_READS):
                held = self._read(held, self._budget)
                if type(held) in _READ:
                    return held
        except Exception as exc:
            if issubclass(type(value), Mapping | list | tuple | set | frozenset):  # its repr might never end
                return f"{class_name(value)[:-1]}: reading it raised {type(exc).__qualname__}>"
        return describe(value)

    def _open(self, source: object, held: Any, node: Node, key: object) -> Any:
        """Return the still empty copy of a container, which is filled when all that is nearer to the top has been."""
        if node.is_within(source):
            return _WITHIN_ITSELF
        if node.depth >= MAX_DEPTH:
            return self._copy_marker(LeftOut(_TOO_DEEP))
        target: Any = {} if isinstance(held, dict | Pairs) else []
        child = Node(source, target, node, key)
        (self._waiting_longer if child.is_one_of_many else self._waiting).append((child, held))
        if self._describe_data is not None and child.depth == JSON_DEPTH + 1:
            self._folded.append(child)
        return target

    def _keep_marker(self, node: Node, text: str) -> None:
        marker = self._copy_marker(LeftOut(text))
        if type(node.target) is dict:
            node.target[_MORE] = marker
        else:
            node.target.append(marker)


def to_plain(value: object) -> Any:
    """Return *value* as what JSON knows: mappings with text keys, lists, texts, numbers, booleans and None."""
    return TreeCopier(Budget(), describe_data=lambda data, node, key: data).copy(value)


def copy_values(values: tuple[object, ...], budget: Budget) -> list[object]:
    """Return *values* copied; dates, ids, decimals and bytes stay what they are."""
    copier = TreeCopier(budget)
    copied: list[object] = copier.begin(values)
    copier.finish()
    return copied


def number_key(name: str, taken: Mapping[str, object], numbers: dict[str, int]) -> str:
    """Return *name*, which is taken, with a number; *numbers* remembers how far the numbers of each name went."""
    number = numbers.get(name, 1)
    numbered = name
    while numbered in taken:
        number += 1
        numbered = f"{name} ({number})"
    numbers[name] = number
    return numbered


def _in_order(values: Iterable[Any]) -> list[Any]:
    """Return the values of a set in an order that is the same in every run."""
    return sorted(values, key=_order)


def _order(value: Any) -> tuple[int, float, str]:
    if type(value) not in LEAVES and not isinstance(value, tuple | frozenset):
        with suppress(Exception):
            value = as_leaf(value)
    if isinstance(value, str):
        return 1, 0.0, value
    if isinstance(value, int | float) and value == value:
        return 0, value, ""
    if isinstance(value, frozenset):
        return 3, 0.0, describe(_in_order(value))
    return 2, 0.0, f"{type(value).__qualname__} {describe(value)}"
