"""The filters that look into JSON: by key or path, by type and value, the same on every database."""

import logging
from typing import Any

import orjson
import pytest

from aicore_sqllog import LogReader
from tests.conftest import MakeHandler
from tests.support.servers import ONE_OF_EACH

HOSTILE = [
    'a"b',
    "a'b",
    "a.b",
    "$",
    "$.a",
    "a\\b",
    "*",
    "**",
    "[0]",
    "",
    " ",
    "é",
    "🦆",
    "a\nb",
    "%s",
    ":x",
    "0",
    "--",
    "null",
]

DOCUMENTS: list[dict[str, Any]] = [
    {"n": 1},
    {"n": 1.0},
    {"n": "1"},
    {"n": True},
    {"n": False},
    {"n": 0},
    {"n": None},
    {"n": 0.1},
    {"n": -3},
    {"n": 2**53 + 1},
    {"n": 10**15},
    {"n": "gpt-4"},
    {"n": "GPT-4"},
    {"n": "gpt-4 "},
    {"n": {"m": 1}},
    {"n": {"m": [10, {"k": "deep"}]}},
    {"n": {"0": "key"}},
    {"n": ["place"]},
    {"n": "true"},
    {"n": "null"},
    {},
    *({key: key} for key in HOSTILE),
    {"nested": dict.fromkeys(HOSTILE, True)},
]


@pytest.fixture
def documents(make_handler: MakeHandler, log: logging.Logger, url: str) -> str:
    handler = make_handler()
    for number, document in enumerate(DOCUMENTS):
        log.info("", extra={"llm": {"user_id": str(number), "extras": document, "session_metadata": document}})
    for number, document in enumerate(DOCUMENTS):
        fields = {"session_id": f"s{number}", "action_id": "own", "session_metadata": document, "model": "m"}
        log.info("", extra={"llm": fields})
    assert handler.flush()
    return url


def found(reader: LogReader, extras: Any) -> list[Any]:
    rows = reader.operations(extras=extras, action_id=[None], columns=["user_id"])["user_id"]
    return [DOCUMENTS[int(number)] for number in rows]


def same(value: Any, wanted: Any) -> bool:
    """Tell whether two JSON values are one: of the same type, and equal; 1 is 1.0, and not true."""
    if wanted is None or isinstance(wanted, str | bool):
        return type(value) is type(wanted) and value == wanted
    return isinstance(value, int | float) and not isinstance(value, bool) and value == wanted


def member(document: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        is_there = (isinstance(document, dict) and isinstance(step, str) and step in document) or (
            isinstance(document, list) and isinstance(step, int) and step < len(document)
        )
        if not is_there:
            return None
        document = document[step]
    return document


WANTED = [1, 1.0, "1", True, False, 0, None, 0.1, -3, 2**53 + 1, 10**15, "gpt-4", "gpt-4 ", "true", "null", "place", 7]
PATHS: list[tuple[str | int, ...]] = [("n",), ("n", "m"), ("n", "m", 0), ("n", "m", 1, "k"), ("n", "0"), ("n", 0)]


def test_a_member_is_compared_by_its_type_and_value(documents: str) -> None:
    with LogReader(documents) as reader:
        for path in PATHS:
            for wanted in [*WANTED, 10, "deep", "key"]:
                expected = [document for document in DOCUMENTS if same(member(document, path), wanted)]
                assert found(reader, {path: wanted}) == expected, (path, wanted)


@ONE_OF_EACH
def test_every_key_is_a_key_as_it_is(documents: str) -> None:
    with LogReader(documents) as reader:
        for key in HOSTILE:
            if key.startswith("-") and "mysql" in documents:
                continue  # MariaDB's paths do not find it
            assert found(reader, {key: key}) == [{key: key}], key
            assert found(reader, {("nested", key): True}) == [DOCUMENTS[-1]], key


@ONE_OF_EACH
def test_members_are_joined_by_and_and_a_sequence_means_one_of(documents: str) -> None:
    with LogReader(documents) as reader:
        assert found(reader, {"n": [1, "gpt-4", None]})[:3] == [{"n": 1}, {"n": 1.0}, {"n": None}]
        assert found(reader, {"n": []}) == []
        assert found(reader, {("n", "m", 0): 10, ("n", "m", 1, "k"): "deep"}) == [DOCUMENTS[15]]
        assert len(found(reader, {})) == len(DOCUMENTS)


@ONE_OF_EACH
def test_a_sessions_metadata_is_asked_in_the_same_way(documents: str) -> None:
    with LogReader(documents) as reader:
        rows = reader.operations(session_metadata={"n": "gpt-4"}, columns=["session_metadata"])
        assert [orjson.loads(text) for text in rows["session_metadata"]] == [{"n": "gpt-4"}]
        assert reader.count(session_metadata={"n": 1}, action_id="own") == 2


@pytest.mark.backends("sqlite")
@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ({"extras": "project"}, "a mapping"),
        ({"extras": {"n": {"m": 1}}}, "give the path"),
        ({"extras": {(): 1}}, "1 to 8"),
        ({"extras": {("n",) * 9: 1}}, "1 to 8"),
        ({"extras": {("n", -1): 1}}, "from 0 on"),
        ({"extras": {1.5: 1}}, "from 0 on"),
        ({"extras": {"n": float("nan")}}, "a number"),
        ({"session_metadata": {"n": object()}}, "a number"),
    ],
)
def test_what_cannot_be_right_is_refused(url: str, filters: Any, said: str) -> None:
    with LogReader(url) as reader, pytest.raises(ValueError, match=said):
        reader.count(**filters)
