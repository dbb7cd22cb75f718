"""A call record into bytes and back: all of it, also from an older and a later version."""

import copy
import json
import pickle
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aicore_sqllog.record.call_record import OPERATION_KEYS, CallRecord, Message, Session
from aicore_sqllog.record.codec import VERSION, UnreadableRecordError, decode, encode, to_document
from aicore_sqllog.record.columns import OPERATIONS, SESSIONS, ColumnKind
from aicore_sqllog.values.ids import mint

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
INSTANTS = st.datetimes(timezones=st.just(UTC))
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
).map(json.dumps)
VALUES: dict[ColumnKind, st.SearchStrategy[Any]] = {
    ColumnKind.ID: st.uuids().map(str),
    ColumnKind.NAME: TEXTS,
    ColumnKind.TEXT: TEXTS,
    ColumnKind.COUNT: st.integers(0, 2**31 - 1),
    ColumnKind.AMOUNT: st.floats(allow_nan=False, allow_infinity=False),
    ColumnKind.INSTANT: INSTANTS,
    ColumnKind.JSON: DOCUMENTS,
}
REQUIRED = ("timestamp", "extras", "session_id")


@st.composite
def call_records(draw: st.DrawFn) -> CallRecord:
    values = {
        column.key: draw(VALUES[column.kind] if column.key in REQUIRED else st.none() | VALUES[column.kind])
        for column in (*OPERATIONS, *SESSIONS)
    }
    minted_id, caller_id = draw(VALUES[ColumnKind.ID]), draw(st.none() | VALUES[ColumnKind.ID])
    values["operation_id"] = caller_id or minted_id
    message = st.builds(Message, st.none() | TEXTS, st.none() | TEXTS, st.none() | DOCUMENTS)
    return CallRecord(
        minted_id,
        caller_id,
        tuple(values[key] for key in OPERATION_KEYS),
        Session._make(values[column.key] for column in SESSIONS),
        tuple(draw(st.lists(message, max_size=3))),
        draw(st.none() | VALUES[ColumnKind.ID]),
        draw(st.none() | VALUES[ColumnKind.ID]),
    )


def minimal() -> CallRecord:
    minted_id, session_id, moment = mint(), mint(), datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
    known = {"operation_id": minted_id, "session_id": session_id, "timestamp": moment, "extras": "{}"}
    operation = tuple(map(known.get, OPERATION_KEYS))
    return CallRecord(minted_id, None, operation, Session(session_id, None, None, moment, None, None), ())


def encoded(document: dict[str, Any]) -> bytes:
    return bytes((VERSION,)) + orjson.dumps(document)


@given(call_records())
def test_a_record_comes_back_as_it_was(record: CallRecord) -> None:
    assert decode(encode(record)) == record


def test_its_values_are_attributes_and_it_can_be_copied() -> None:
    record = minimal()
    assert record.timestamp == datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
    assert (record.operation_id, record.model) == (record.minted_id, None)
    with pytest.raises(AttributeError, match="'modell'"):
        _ = record.modell
    assert pickle.loads(pickle.dumps(record)) == copy.deepcopy(record) == record  # our own bytes


def test_no_column_hides_what_a_record_has_of_its_own() -> None:
    assert not set(OPERATION_KEYS) & set(dir(CallRecord))
    assert Session._fields == tuple(column.key for column in SESSIONS)


def test_a_record_of_an_older_version_lacks_columns_that_are_then_unknown() -> None:
    record = minimal()
    document = to_document(record)
    assert set(document) == {"minted_id", "timestamp", "extras", "session", "messages"}
    assert decode(encoded(document)) == record
    document |= {"session": {**document["session"], "metadata": None}, "model": None, "messages": None}
    assert decode(encoded(document)) == record, "whether NULLs are left out or written"


def test_columns_of_a_later_version_are_kept_and_told() -> None:
    document = to_document(minimal())
    document["extras"] = json.dumps({"mine": 1, "sqllog": {"level": "INFO"}})
    document |= {"images": 3, "region": {"name": "eu"}}
    document["session"]["tags"] = ["a"]
    document["messages"] = [{"role": "user", "content": "q"}, {"role": "assistant", "rating": 5}]
    record = decode(encoded(document))
    assert record.messages == (Message("user", "q", None), Message("assistant", None, None))
    assert json.loads(record.extras) == {
        "mine": 1,
        "sqllog": {
            "level": "INFO",
            "unread": {"images": 3, "region": {"name": "eu"}, "session.tags": ["a"], "messages.1.rating": 5},
        },
    }


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        pytest.param(lambda data: b"", "of no bytes", id="nothing"),
        pytest.param(lambda data: b"\x09" + data[1:], "layout 9 is not known", id="a later version"),
        pytest.param(lambda data: data[:-1], "no JSON", id="cut off"),
        pytest.param(lambda data: data[:1] + b"[]", "the record is no dict", id="no object"),
        pytest.param(lambda data: data.replace(b"minted_id", b"other"), "minted_id is no str", id="no id"),
        pytest.param(lambda data: data.replace(b'"timestamp"', b'"other"'), "timestamp is no datetime", id="no time"),
        pytest.param(lambda data: data.replace(b'"2026', b'"soon'), "is no instant", id="no such time"),
        pytest.param(lambda data: data.replace(b'"extras":"{}"', b'"cost":"1"'), "cost is no amount", id="a kind"),
        pytest.param(lambda data: data.replace(b"[]", b"[1]"), "messages.0 is no dict", id="no message"),
    ],
)
def test_what_is_no_record_is_refused_with_the_reason_and_no_value(damage: Any, told: str) -> None:
    with pytest.raises(UnreadableRecordError, match=told):
        decode(damage(encode(minimal())))


def test_the_layout_stays_what_it_is() -> None:
    """Bytes that this version has written must be read by every later one: this text never changes."""
    session = "00000000-0000-7000-8000-000000000002"
    written = (
        b'\x01{"minted_id":"00000000-0000-7000-8000-000000000001","timestamp":"2026-01-02T03:04:05.678901+00:00",'
        b'"model":"gpt","input_tokens":7,"cost":0.5,"extras":"{\\"sqllog\\":{}}",'
        b'"session":{"session_id":"00000000-0000-7000-8000-000000000002","created_at":"2026-01-02T03:04:05+00:00",'
        b'"metadata":"{}","session_key":"chat"},"messages":[{"role":"user","content":"q","parts":"{\\"a\\":1}"}]}'
    )
    record = decode(written)
    assert (record.model, record.input_tokens, record.cost, record.extras) == ("gpt", 7, 0.5, '{"sqllog":{}}')
    assert record.session == (session, None, None, datetime(2026, 1, 2, 3, 4, 5, 0, UTC), "{}", "chat")
    assert (record.session_id, record.operation_id) == (session, record.minted_id)
    assert record.messages == (Message("user", "q", '{"a":1}'),)
    assert decode(encode(record)) == record
