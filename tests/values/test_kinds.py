"""A value is told by what it is, whatever its class, and a key as a value is."""

import array
import ctypes
import dataclasses
import datetime as dt
import enum
import json
import logging
import os
import subprocess
import sys
from collections import OrderedDict, namedtuple
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from uuid import UUID

import pytest
import uuid_utils
from pydantic import BaseModel, Field, RootModel, SecretStr, computed_field, field_serializer

from aicore_sqllog.capture.build import Defaults, RecordBuilder
from aicore_sqllog.capture.fields import STANDARD_ATTRIBUTES
from aicore_sqllog.capture.snapshot import take_snapshot
from aicore_sqllog.responses.plain import to_plain as read_sdk_object
from aicore_sqllog.values.tree import to_plain

BUILDER = RecordBuilder(Defaults())


def built(fields: dict[str, Any]) -> Any:
    snapshot = take_snapshot(logging.makeLogRecord({"llm": {"model": "m", **fields}}))
    assert snapshot is not None
    return BUILDER.build(snapshot)


def stored(value: Any) -> Any:
    return json.loads(built({"extras": {"v": value}}).extras)["v"]


class Number(int):
    def __repr__(self) -> str:
        return "a number"


class Text(str):
    def __repr__(self) -> str:
        return "a text"


class Level(enum.IntEnum):
    HIGH = 3


class Colour(enum.StrEnum):
    RED = "red"


class Shape(enum.Enum):
    ROUND = (1, 2)


class Moment(dt.datetime):
    pass


class OtherDate:
    """As whenever's and arrow's: no subclass, but it can say itself."""

    def isoformat(self) -> str:
        return "2026-01-02T03:04:05+00:00"


class ToStandard:
    def to_stdlib(self) -> dt.datetime:
        return dt.datetime(2026, 1, 2, tzinfo=dt.UTC)


class Pair(NamedTuple):
    a: int
    b: str


Old = namedtuple("Old", "x y")


@dataclasses.dataclass
class Point:
    client: str
    session: str


class Booking(BaseModel):
    client: str = "Ann"
    headers: list[str] = Field(default_factory=lambda: ["one"])
    snapshot: str | None = None
    hidden: str = Field(default="hidden", exclude=True)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total(self) -> int:
        return 5


class Masked(BaseModel):
    password: str = "hunter2"
    secret: SecretStr = SecretStr("hunter2")

    @field_serializer("password")
    def mask(self, value: str) -> str:
        return "***"


class Tags(RootModel[list[str]]):
    pass


KINDS: list[tuple[Any, Any]] = [
    (Number(5), 5),
    (Text("x"), "x"),
    (Level.HIGH, 3),
    (Colour.RED, "red"),
    (Shape.ROUND, [1, 2]),
    (Fraction(1, 4), 0.25),
    (Decimal("1.50"), "1.50"),
    (UUID(int=1), str(UUID(int=1))),
    (uuid_utils.UUID(int=1), str(UUID(int=1))),
    (Moment(2026, 1, 2, tzinfo=dt.UTC), "2026-01-02T00:00:00+00:00"),
    (OtherDate(), "2026-01-02T03:04:05+00:00"),
    (ToStandard(), "2026-01-02T00:00:00+00:00"),
    (dt.timedelta(seconds=1), "0:00:01"),
    (PurePosixPath("/a/b"), "/a/b"),
    (2**70, str(2**70)),
    (float("inf"), "Infinity"),
    (complex(1, 2), "(1+2j)"),
]


@pytest.mark.parametrize(("value", "expected"), KINDS)
def test_single_values(value: Any, expected: Any) -> None:
    assert stored(value) == expected
    assert stored([{"deep": value}]) == [{"deep": expected}]


@pytest.mark.parametrize(("value", "expected"), [pair for pair in KINDS if pair[0] is not Shape.ROUND])
def test_a_key_is_read_as_a_value_is(value: Any, expected: Any) -> None:
    assert stored({value: 1}) == {str(expected): 1}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (array.array("d", [1.0, 2.5]), [1.0, 2.5]),
        (array.array("i", [1, 2]), [1, 2]),
        (bytearray(b"text"), "text"),
        (memoryview(b"text"), "text"),
        (memoryview(array.array("i", [1, 2])), [1, 2]),
        ((ctypes.c_int * 2)(1, 2), [1, 2]),
        (range(3), [0, 1, 2]),
        ({"b": 1}.keys(), ["b"]),
        ({"b": 1}.values(), [1]),
        (OrderedDict(a=1), {"a": 1}),
        (Pair(1, "x"), {"a": 1, "b": "x"}),
        (Old(1, 2), {"x": 1, "y": 2}),
        (Point("Ann", "s"), {"client": "Ann", "session": "s"}),
        (Booking(), {"client": "Ann", "headers": ["one"], "snapshot": None, "total": 5}),
        (Masked(), {"password": "***", "secret": "SecretStr('**********')"}),
        (Tags(["a"]), ["a"]),
        ({"b", "a", "c"}, ["a", "b", "c"]),
        ({10, 9, 2.5}, [2.5, 9, 10]),
        ({3, "a", None, (1,)}, [3, "a", None, [1]]),
        ({frozenset({"b", "a"})}, [["a", "b"]]),
        ({1: "a", "1": "b", 1.5: "c"}, {"1": "a", "1 (2)": "b", "1.5": "c"}),
    ],
)
def test_containers(value: Any, expected: Any) -> None:
    assert stored(value) == expected


def test_a_set_is_stored_in_the_same_order_in_every_run() -> None:
    code = """if True:
        from aicore_sqllog.values.json import to_json
        mixed = [{(2, 'x'), ('y', 1)}, {frozenset('xyz'), frozenset('ab')}, {None, 1, 'a', b'z'}]
        print(to_json([{'b', 'a', 'c'}, *mixed]))
    """
    said = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True
        ).stdout
        for seed in "1234"
    }
    assert len(said) == 1


def test_fields_of_any_number_and_id() -> None:
    record = built(
        {
            "input_tokens": Number(3),
            "output_tokens": Level.HIGH,
            "cost": Fraction(1, 4),
            "latency_ms": Decimal("12.6"),
            "timestamp": ToStandard(),
            "session_id": uuid_utils.UUID(int=7),
            "provider": Colour.RED,
        }
    )

    assert (record.input_tokens, record.output_tokens, record.cost, record.latency_ms) == (3, 3, 0.25, 13)
    assert record.timestamp == dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    assert record.session.session_id == str(UUID(int=7))
    assert record.provider == "red"
    assert "invalid" not in json.loads(record.extras)["sqllog"]


def test_numpy_numbers_and_arrays_as_values_and_as_keys() -> None:
    np = pytest.importorskip("numpy")
    values = {
        "int": np.int64(3), "float": np.float32(0.5), "nan": np.float64("nan"), "bool": np.bool_(True),
        "text": np.str_("x"), "array": np.array([[1, 2], [3, 4]]), "none": np.array(5),
        "day": np.datetime64("2026-01-02"),
        "ns": np.datetime64("2026-01-02T03:04:05", "ns"), "set": {np.int64(10), np.int64(9)},
        "keys": {np.int64(3): 1, np.str_("k"): 2, np.bool_(True): 3}, "huge": np.zeros(10**7),
    }  # fmt: skip
    kept = stored(values)

    assert len(kept.pop("huge")) < 200_000
    assert kept == {
        "int": 3, "float": 0.5, "nan": "NaN", "bool": True, "text": "x", "array": [[1, 2], [3, 4]], "none": 5,
        "day": "2026-01-02", "ns": "2026-01-02T03:04:05.000000000", "set": [9, 10], "keys": {"3": 1, "k": 2, "true": 3},
    }  # fmt: skip


def test_an_attribute_that_a_record_factory_adds_is_not_the_record_s_own() -> None:
    code = """if True:
        import logging
        plain = logging.getLogRecordFactory()
        def make(*args, **kwargs):
            record = plain(*args, **kwargs)
            record.request_id = "r-7"
            return record
        logging.setLogRecordFactory(make)
        from aicore_sqllog.capture.fields import STANDARD_ATTRIBUTES
        print("request_id" in STANDARD_ATTRIBUTES, "levelno" in STANDARD_ATTRIBUTES)
    """
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["False", "True"]
    assert "thread" in STANDARD_ATTRIBUTES


class Client:
    """What leads to the network, as SDKs have it."""

    def __init__(self) -> None:
        self.token = "sk-key"

    def close(self) -> None: ...


def test_an_sdk_s_object_is_read_and_what_leads_to_the_network_is_named_only() -> None:
    class Answer:
        def __init__(self) -> None:
            self.text, self.client, self.session = "hi", Client(), "s-1"
            self.headers = {"x-request-id": "r", "Authorization": "sk-key"}

    read = read_sdk_object(Answer())

    assert "sk-key" not in str(read)
    assert (read["text"], read["session"], read["headers"]["x-request-id"]) == ("hi", "s-1", "r")


def test_numbers_in_a_list_stay_whole() -> None:
    vector = [0.1 * number for number in range(2_000)]

    assert read_sdk_object({"arguments": vector}) == {"arguments": vector}
    assert to_plain(vector) == vector
    assert stored([*vector, float("nan"), 2**70])[-2:] == ["NaN", str(2**70)]
