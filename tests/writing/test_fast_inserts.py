"""Inserts that are faster than the ORM's store the same, to the last value and type."""

import logging
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aicore_sqllog import LogReader, SQLLogHandler
from tests.support.servers import execute
from tests.support.statements import statements_to

TEXTS = st.text(max_size=40) | st.sampled_from(["", "\\", "'", '"', "\\u0000", "null", "\u2028", "x" * 30_000, "{}"])
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
MESSAGES = st.lists(
    st.fixed_dictionaries({}, optional={"role": TEXTS, "content": DOCUMENTS, "name": TEXTS}), max_size=4
)
TIMES = st.datetimes() | st.none()
CALLS = st.fixed_dictionaries(
    {"model": TEXTS},
    optional={
        "provider": TEXTS,
        "operation_id": st.uuids(),
        "parent_operation_id": st.uuids(),
        "timestamp": TIMES,
        "input_tokens": st.integers(0, 2**31 - 1),
        "cost": st.floats(allow_nan=False, allow_infinity=False),
        "latency_ms": st.floats(0, 2**31 - 2),
        "error_message": TEXTS,
        "session_id": TEXTS,
        "session_metadata": DOCUMENTS,
        "user_id": TEXTS,
        "messages": MESSAGES,
        "extras": st.dictionaries(TEXTS, DOCUMENTS, max_size=4),
    },
)


def stored(url: str, agent: str) -> pl.DataFrame:
    """Return what *agent* logged, less what differs from call to call."""
    with LogReader(url) as reader:
        frame = reader.operations(agent_id=agent, include_messages=True, order_by="action_id")
    return frame.drop("operation_id", "agent_id", "timestamp", "session_id", "session_metadata")


@pytest.mark.backends(
    "sqlite", "postgresql+psycopg2", "postgresql+psycopg", "postgresql+asyncpg", "mysql+pymysql", "mysql+asyncmy"
)
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
@given(calls=st.lists(CALLS, min_size=1, max_size=60))
def test_they_store_what_the_orm_stores(url: str, calls: list[dict[str, Any]]) -> None:
    for number, accelerate in enumerate((True, False)):
        handler = SQLLogHandler(url, agent_id=f"agent-{number}", accelerate=accelerate, flush_interval=3600)
        logger = logging.Logger("calls")
        logger.addHandler(handler)
        for position, call in enumerate(calls):
            own = {name: value for name, value in call.items() if name != "operation_id"}
            logger.info("call", extra={"llm": {**own, "action_id": f"{position:04}"}})
        assert handler.flush(60)
        handler.close()
    fast, by_orm = stored(url, "agent-0"), stored(url, "agent-1")
    assert fast.height == len(calls)
    assert fast.equals(by_orm)
    assert fast.schema == by_orm.schema
    for table in ("llm_messages", "llm_operations", "llm_sessions"):
        execute(url, f"delete from {table}")


MARKS = {"sqlite": "(?, ?, ", "postgresql": "jsonb_array_elements", "mysql": "VALUES (%s, %s, "}
"""What shows that an insert is not the ORM's."""


@pytest.mark.backends("sqlite", "postgresql+psycopg2", "mysql+pymysql")
@pytest.mark.parametrize("accelerate", [True, False])
def test_they_are_used_unless_an_option_says_no(
    accelerate: bool, make_handler: Callable[..., SQLLogHandler], log: logging.Logger, url: str
) -> None:
    handler = make_handler(accelerate=accelerate)
    with statements_to(url) as sent:
        for _ in range(50):
            log.info("call", extra={"provider": "p", "model": "m"})
        assert handler.flush()
    (insert,) = [statement for statement in sent if "INSERT INTO" in statement and "llm_operations" in statement]
    mark = MARKS[sa.make_url(url).get_backend_name()]
    assert (insert.count(mark) == (50 if "?" in mark else 1)) is accelerate
