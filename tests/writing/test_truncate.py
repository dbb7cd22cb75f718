"""Every row of a record fits the server: what is too large is cut, and that is said."""

import json
from typing import Any

import pytest

from aicore_sqllog import polars_from_db
from aicore_sqllog.batching.counts import Outcome
from aicore_sqllog.record.call_record import CallRecord
from aicore_sqllog.storage.connection import resolve
from aicore_sqllog.storage.types import EncodedJson
from aicore_sqllog.writing.rows import Row, message_row, message_values, operation_row, operation_values
from aicore_sqllog.writing.truncate import fit_rows, fit_session
from aicore_sqllog.writing.writer import Writer
from tests.support.records import counts, records
from tests.support.servers import execute

LIMIT = 200_000
LARGE = "é'\n" * 100_000


def rows_of(record: CallRecord) -> tuple[Row, list[Row]]:
    operation = operation_row(operation_values(record, record.operation_id, {}))
    return operation, list(map(message_row, message_values(record, record.operation_id)))


def fitted(record: CallRecord) -> tuple[CallRecord, dict[str, Any], list[dict[str, Any]]]:
    """Return the record with its session, its operation's row and its messages' rows, cut to ``LIMIT``."""
    record = fit_session(record, LIMIT)
    operation, messages = rows_of(record)
    fit_rows(operation, messages, LIMIT)
    for row in (operation, *messages):
        texts = [value.text if isinstance(value, EncodedJson) else str(value) for value in row.values()]
        assert sum(len(text.encode()) for text in texts) < LIMIT
    return record, operation, messages


@pytest.mark.parametrize(
    ("fields", "cut"),
    [
        pytest.param({"error_message": LARGE}, {"error_message"}, id="a text"),
        pytest.param({"extras": {"document": LARGE}}, {"extras"}, id="extras"),
        pytest.param({"extras": {str(n): "x" * 10 for n in range(50_000)}}, {"extras"}, id="many keys"),
        pytest.param({"extras": {"sqllog": LARGE}}, {"extras"}, id="the caller's own of our name"),
        pytest.param({"messages": LARGE}, {"messages.0.content"}, id="a message"),
        pytest.param({"messages": [{"role": "user", "x": LARGE}]}, {"messages.0.parts"}, id="parts"),
        pytest.param({"session_metadata": {"document": LARGE}}, {"session_metadata"}, id="the session"),
        pytest.param({"session_metadata": LARGE}, {"session_metadata"}, id="the session, a text"),
        pytest.param(
            {"session_metadata": [LARGE], "error_message": LARGE, "response": LARGE},
            {"session_metadata", "error_message", "messages.2.content"},
            id="all of them",
        ),
    ],
)
def test_what_is_too_large_is_cut_and_told(fields: dict[str, Any], cut: set[str]) -> None:
    (made,) = records(1, operation_id="mine", **fields)
    record, operation, _ = fitted(made)
    own = json.loads(operation["extras"].text)["sqllog"]
    assert set(own["truncated"]) == cut
    assert all(length > 100_000 for length in own["truncated"].values())
    metadata = record.session.session_metadata
    assert metadata is None or len(metadata) < LIMIT
    assert json.loads(metadata or "null") is None or "truncated" in (metadata or "")


def test_what_fits_is_not_touched_and_small_values_stay_beside_large_ones() -> None:
    (made,) = records(1, operation_id="mine", session_metadata={"a": "x" * 50_000}, extras={"b": "x" * 50_000})
    assert fit_session(made, LIMIT) is made
    _, operation, messages = fitted(made)
    assert (operation, messages) == rows_of(made)

    (made,) = records(
        1, operation_id="mine", extras={"small": 1, "large": LARGE}, session_metadata={"s": 1, "l": LARGE}
    )
    record, operation, _ = fitted(made)
    extras = json.loads(operation["extras"].text)
    assert (extras["small"], extras["large"]) == (1, {"truncated": len(json.dumps(LARGE, ensure_ascii=False))})
    assert extras["sqllog"]["minted_id"] == made.minted_id, "by which it is known when it is tried again"
    assert json.loads(record.session.session_metadata or "")["s"] == 1


@pytest.mark.backends("mysql+pymysql")
def test_a_session_whose_metadata_is_larger_than_a_packet_delays_nobody(url: str) -> None:
    writer = Writer(resolve(url))
    large = [records(1, session_id="s", session_metadata={"n": n, "document": "x" * 17_000_000})[0] for n in range(2)]
    both = records(1, session_id="s", session_metadata=["x" * 9_000_000], extras={"mine": 1, "other": "x" * 9_000_000})
    batch = [*large, *both, *records(2)]
    assert writer.write(batch, 1) == Outcome(5)
    assert writer.write(batch, 2) == Outcome(0, duplicate=5)
    writer.close()
    assert counts(url) == [2, 5, 15]
    assert execute(url, "select max(length(metadata)) < 1000 from llm_sessions") == [(1,)]
    noted = [json.loads(text) for text in polars_from_db(url, session_id="s", order_by="operation_id")["extras"]]
    assert [len(extras["sqllog"].get("truncated", {})) for extras in noted] == [1, 1, 1]
    assert noted[1]["sqllog"]["session_metadata"]["n"] == 1
    assert noted[2]["mine"] == 1
