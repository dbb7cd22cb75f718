"""Any graph of values becomes a tree in bounded time and memory, is always stored, and what is left out is said."""

import json
import logging
import time
import tracemalloc
from collections import UserDict, UserList, UserString, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aicore_sqllog.capture.build import Defaults, RecordBuilder
from aicore_sqllog.capture.snapshot import take_snapshot
from aicore_sqllog.responses.plain import to_plain as read_sdk_object
from aicore_sqllog.values.freeze import freeze, thaw
from aicore_sqllog.values.json import to_json
from aicore_sqllog.values.limits import MAX_VALUES, Budget
from aicore_sqllog.values.tree import TreeCopier, to_plain

BUILDER = RecordBuilder(Defaults())
SECONDS = 20.0
"""Far more than any of these takes on a busy machine, and nothing to what they took by depth alone."""

MOST_BYTES = 400 * 2**20
"""What the tree of as many values as may be read takes, its JSON beside it."""


def stored(value: Any) -> dict[str, Any]:
    record = logging.makeLogRecord({"llm": {"model": "m", "input_tokens": 7, "extras": {"v": value}}})
    snapshot = take_snapshot(record)
    assert snapshot is not None
    built = BUILDER.build(snapshot)
    assert (built.model, built.input_tokens) == ("m", 7)
    extras: dict[str, Any] = json.loads(built.extras)
    assert "fault" not in extras["sqllog"]
    return extras


def count(value: Any) -> int:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(count, items))


class Endless(Sequence[int]):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: Any) -> Any:
        return index


class EndlessItems(dict[str, int]):
    def items(self) -> Any:
        number = 0
        while True:
            yield f"k{number}", number
            number += 1


class Liar(list[int]):
    def __len__(self) -> int:
        return 10**18


class Slow(Sequence[int]):
    def __len__(self) -> int:
        return 10**9

    def __getitem__(self, index: Any) -> Any:
        time.sleep(0.02)
        return index


class LazyMapping(Mapping[str, object]):
    def __getitem__(self, key: str) -> object:
        return LazyMapping()

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Iterator[str]:
        return iter("abc")


def laughs(make: Callable[[list[Any]], Any], levels: int = 12) -> Any:
    value: Any = "ha"
    for _ in range(levels):
        value = make([value] * 10)
    return value


def family(children: int) -> Any:
    root: dict[str, Any] = {"name": "root", "children": []}
    for number in range(children):
        root["children"].append({"name": number, "parent": root, "siblings": root["children"]})
    return root


def mutual() -> Any:
    nodes: list[dict[str, Any]] = [{"id": number} for number in range(12)]
    for node in nodes:
        node["others"] = [other for other in nodes if other is not node]
    return nodes


GRAPHS: dict[str, Callable[[], Any]] = {
    "laughing lists": lambda: laughs(list),
    "laughing tuples": lambda: laughs(tuple),
    "laughing dicts": lambda: laughs(lambda items: dict(enumerate(items))),
    "laughing deques": lambda: laughs(deque),
    "laughing UserLists": lambda: laughs(UserList),
    "laughs as a key": lambda: {laughs(tuple, 5): 1},
    "a tree with parents": lambda: family(300),
    "mutual references": mutual,
    "range": lambda: range(10**9),
    "an endless sequence": Endless,
    "endless items": EndlessItems,
    "a length that lies": lambda: Liar([1, 2, 3]),
    "a slow sequence": Slow,
    "mappings without end": LazyMapping,
    "a huge list": lambda: [1] * 10**7,
    "a huge list of objects": lambda: [object()] * 10**6,
    "a huge dict": lambda: dict.fromkeys(range(10**6)),
    "a huge set": lambda: set(range(10**6)),
    "a long text": lambda: "x" * 10**8,
    "keys that are all alike": lambda: {UserString("same"): 1} | {Alike(): 2 for _ in range(50_000)},
    "very deep": lambda: deep(100_000),
}  # fmt: skip


class Alike:
    def __repr__(self) -> str:
        return "alike"


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


ALIKE = ("laughing tuples", "laughing deques", "laughing UserLists")
"""They take the ways of others, and seconds."""


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.long] if n in ALIKE else []) for n in GRAPHS])
def test_what_has_no_end_is_stored_in_part_and_that_is_said(name: str) -> None:
    value = GRAPHS[name]()
    begun = time.perf_counter()

    extras = stored(value)

    assert time.perf_counter() - begun < SECONDS
    assert count(extras) < 2 * MAX_VALUES
    if name not in ("a length that lies", "laughs as a key", "keys that are all alike", "a tree with parents"):
        assert extras["sqllog"]["left_out"] > 0
        assert "left out" in json.dumps(extras["v"])


def test_each_member_of_a_tree_with_parents_is_kept_once() -> None:
    kept = stored(family(300))["v"]

    assert [child["name"] for child in kept["children"]] == list(range(300))
    assert {child["parent"] for child in kept["children"]} == {"<within itself>"}


def test_a_generator_is_not_consumed() -> None:
    numbers = iter(range(3))

    assert "iterator" in stored(numbers)["v"]
    assert list(numbers) == [0, 1, 2]


@pytest.mark.slow
def test_what_is_large_leaves_room_for_what_stands_beside_it() -> None:
    huge, long = [[i] for i in range(10**6)], "x" * 10**8
    extras = {"huge": huge, "long": long, "usage": {"tokens": {"deep": [1, 2, 3]}}}
    messages = [{"role": "user", "content": long}, {"role": "user", "content": "kept"}]
    snapshot = take_snapshot(logging.makeLogRecord({"llm": {"extras": extras, "messages": messages, "model": "m"}}))
    assert snapshot is not None

    record = BUILDER.build(snapshot)

    assert record.model == "m"
    assert json.loads(record.extras)["usage"] == extras["usage"]
    assert [message.content for message in record.messages][1] == "kept"
    assert (record.messages[0].content or "").startswith("xxx")


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5)


@st.composite
def graphs(draw: st.DrawFn) -> Any:
    """A random graph of builtins: containers are made first, then filled with leaves and with each other."""
    makes: list[Callable[[], Any]] = [list, dict]
    nodes = [draw(st.sampled_from(makes))() for _ in range(draw(st.integers(1, 12)))]
    for node in nodes:
        items = draw(st.lists(st.sampled_from(nodes) | LEAVES, max_size=8))
        items *= draw(st.sampled_from([1, 1, 1, 3, 40]))
        if isinstance(node, list):
            node.extend(items)
        else:
            keys = draw(st.lists(LEAVES, max_size=8, unique_by=repr))
            node.update(zip(keys, items, strict=False))
    return draw(st.sampled_from([nodes[0], nodes, (nodes[0], frozenset({1, "a"}))]))


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(graphs())
def test_every_graph_is_stored_in_bounded_time_and_memory(graph: Any) -> None:
    tracemalloc.start()
    try:
        begun = time.perf_counter()
        extras = stored(graph)
        assert time.perf_counter() - begun < SECONDS
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()
    assert count(extras) < 2 * MAX_VALUES
    for plain in (to_plain(graph), read_sdk_object(graph)):
        assert count(plain) < 2 * MAX_VALUES
    json.loads(to_json(graph))


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(graphs(), st.integers(0, 40), st.integers(0, 3_000))
def test_no_graph_takes_more_than_its_budget(graph: Any, values: int, size: int) -> None:
    budget = Budget(values, size)

    tree = TreeCopier(budget, describe_data=lambda data, node, key: data).copy(graph)

    containers = count(tree) - budget.values_read
    assert budget.values_read <= values
    assert containers <= 2 * values + 8, "no more than a marker for each container"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text("abc d", max_size=4), inner, max_size=5),
    max_leaves=30,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(JSON)
def test_what_is_plain_stays_as_it_is(value: Any) -> None:
    assert to_plain(value) == value
    assert stored(value)["v"] == value
    frozen, size = freeze((value,))
    assert thaw(frozen) == (value,)
    assert size > 0


def test_user_made_containers_and_texts_are_what_they_are() -> None:
    assert to_plain(UserDict(a=UserList([UserString("x")]))) == {"a": ["x"]}


class Offspring(Mapping[str, object]):
    """A mapping each of whose values is made when it is read, and is another."""

    reads = 0

    def __getitem__(self, key: str) -> object:
        type(self).reads += 1
        return Offspring()

    def __iter__(self) -> Iterator[str]:
        return iter("abc")

    def __len__(self) -> int:
        return 3


def test_mappings_that_make_others_are_not_read_on_when_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aicore_sqllog.values.limits.MAX_SECONDS", 0.0)
    Offspring.reads = 0

    found = to_json(Offspring())

    assert "took too long" in found
    assert Offspring.reads < 10


class Shy:
    """An object that does not even say of what class it is."""

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "fields", [{"provider": Shy()}, {"input_tokens": Decimal("sNaN")}, {"extras": {"a": Shy(), "b": 1}}]
)
def test_one_value_that_cannot_be_read_costs_no_other(fields: dict[str, Any]) -> None:
    snapshot = take_snapshot(logging.makeLogRecord({"llm": {**fields, "model": "m", "action_id": "kept"}}))
    assert snapshot is not None
    built = BUILDER.build(snapshot)

    assert {"m", "kept"} <= set(built.operation)
    assert "extras" not in fields or '"b":1' in str(built.operation)
