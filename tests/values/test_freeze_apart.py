"""Values of which some are no builtins are frozen as all others are, and come back as they were."""

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from aicore_sqllog.values.freeze import freeze, thaw
from aicore_sqllog.values.limits import MAX_BYTES
from aicore_sqllog.values.scalars import LEAVES
from aicore_sqllog.values.tree import to_plain

NOW, ID = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), uuid.UUID(int=7)

CASES: list[tuple[Any, ...]] = [
    (NOW, "text", 7),
    (ID, [{"role": "user", "content": "hi"}], Decimal("1.50"), date(2026, 1, 2)),
    ("a", {"at": NOW, "id": ID, "n": None, "x": 1.5}, None),
    (NOW, {"nested": {"at": NOW}}, [NOW]),
    (NOW, {1: "a key that is no text"}, {"s": {1, 2}}),
    ({f"key {number}": NOW for number in range(100)}, ID),
    ({"at": NOW, "long": "x" * 100_000}, ID),
    (NOW, ["x" * 100_000]),
    (Decimal("1" * 10_000), NOW),
    (NOW, complex(1, 2), b"bytes"),
]


@pytest.mark.parametrize("values", CASES)
def test_they_come_back_as_they_were(values: tuple[Any, ...]) -> None:
    frozen, size = freeze(values)

    assert to_plain(thaw(frozen)) == to_plain(values)
    assert [type(value) for value in thaw(frozen) if type(value) in LEAVES] == [
        type(value) for value in values if type(value) in LEAVES
    ]
    assert size > 0


def test_nothing_changes_them_afterwards() -> None:
    extras, message = {"at": NOW, "tag": "before"}, {"role": "user", "content": "before"}
    frozen, _ = freeze((NOW, extras, [message], ID))

    extras["tag"] = message["content"] = "after"
    extras["more"] = 1
    first = thaw(frozen)
    first[1]["tag"] = "changed by a reader"  # type: ignore[index]

    assert thaw(frozen)[1] == {"at": NOW, "tag": "before"}
    assert thaw(frozen)[2] == [{"role": "user", "content": "before"}]


def test_what_is_large_keeps_to_the_bounds() -> None:
    _, size = freeze((NOW, "x" * (MAX_BYTES + 1), {"at": NOW}))

    assert size <= MAX_BYTES + 1_024
