"""Ids of the caller's: no call is taken for another, and what is inside an operation hangs under that very one."""

import logging
import logging.handlers
import os
import queue
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from aicore_sqllog import llm_operation, polars_from_db
from aicore_sqllog.batching.counts import Outcome
from aicore_sqllog.record.call_record import OPERATION_KEYS, CallRecord
from aicore_sqllog.storage.connection import resolve
from aicore_sqllog.writing.triage import NotWritten
from aicore_sqllog.writing.writer import Writer
from tests.conftest import MakeHandler
from tests.support.records import records
from tests.support.servers import ONE_OF_EACH, execute
from tests.support.stands import stand_before
from tests.support.statements import statements_to

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def bare(count: int, **fields: Any) -> list[CallRecord]:
    """Return records that differ in nothing: the same id of the caller's, the same time, no messages."""
    alike = {"operation_id": "job", "timestamp": NOON, "messages": None, "response": None}
    return records(count, **{**alike, **fields})


def parents(url: str) -> dict[str, str]:
    """Return the action of each operation's parent, by its own."""
    rows = execute(
        url,
        "select c.action_id, p.action_id from llm_operations c "
        "left join llm_operations p on p.operation_id = c.parent_operation_id where c.parent_operation_id is not null",
    )
    return dict(rows)


@ONE_OF_EACH
def test_an_operation_that_two_handlers_store_is_two_and_is_not_looked_for_before(
    url: str, make_handler: MakeHandler, log: logging.Logger
) -> None:
    handlers = [make_handler(), make_handler()]
    with statements_to(url) as sent:
        with llm_operation(log, model="m", action_id="both"):
            pass
        assert handlers[0].flush(30)
    assert not any(s.startswith("SELECT") and "WHERE llm_operations.operation_id IN" in s for s in sent)
    assert handlers[1].flush(30)
    assert [handler.stats().id_conflict for handler in handlers] == [0, 1]
    assert [handler.stats().committed for handler in handlers] == [1, 1]
    assert polars_from_db(url)["action_id"].to_list() == ["both", "both"]


@ONE_OF_EACH
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("operation_id", ["job", "c56a4180-65aa-42ec-a945-5fd21dec0538"])
def test_calls_that_differ_in_nothing_are_each_stored_whatever_is_tried_again(
    url: str, count: int, operation_id: str
) -> None:
    writer, after_restart = Writer(resolve(url)), Writer(resolve(url))
    first, second, third = (bare(count, operation_id=operation_id) for _ in range(3))
    assert writer.write(first, 1) == Outcome(count, id_conflict=count - 1)
    assert writer.write(second, 2) == Outcome(count, id_conflict=count), "the first attempt failed"
    assert after_restart.write([*second, *third, *first], 2) == Outcome(count, duplicate=2 * count, id_conflict=count)
    assert writer.write([*third, *first], 5) == Outcome(0, duplicate=2 * count)
    assert len(polars_from_db(url)) == 3 * count
    for each in (writer, after_restart):
        each.close()


@ONE_OF_EACH
def test_of_two_calls_alike_whose_commits_are_cut_none_is_lost(url: str) -> None:
    with stand_before(url) as stand:
        writer = Writer(resolve(stand.url), stand.engine_options)
        writer.write(records(1), 1)
        one, two = bare(1), bare(1)
        stand.cut_at_commit("after")
        with pytest.raises(NotWritten):
            writer.write(one, 1)
        stand.cut_at_commit("before")
        with pytest.raises(NotWritten):
            writer.write(two, 1)
        assert writer.write([*two, *one], 2) == Outcome(1, duplicate=1, id_conflict=1)
        writer.close()
    assert len(polars_from_db(url)) == 3


@ONE_OF_EACH
@pytest.mark.parametrize("texts", [{}, {"messages": ["q"]}])
def test_what_an_earlier_version_stored_is_recognised(url: str, texts: dict[str, Any]) -> None:
    """It noted no minted id beside the caller's."""
    writer = Writer(resolve(url))
    position = OPERATION_KEYS.index("extras")
    (made,) = bare(1, **texts)
    earlier = made._replace(operation=(*made.operation[:position], "{}", *made.operation[position + 1 :]))
    assert writer.write([earlier], 1) == Outcome(1)
    assert writer.write([earlier, *bare(1, timestamp=NOON.replace(hour=13), **texts)], 2) == Outcome(
        1, duplicate=1, id_conflict=1
    )
    writer.close()


def run_twice(log: logging.Logger, pause: Callable[[], object], number: int = 0) -> None:
    for run in (number + 1, number + 2):
        with llm_operation(log, operation_id="job", action_id=f"job {run}"):
            with llm_operation(log, operation_id="step", action_id=f"step {run}"):
                log.info("inside", extra={"llm": {"action_id": f"inside {run}"}})
                pause()
            pause()
            log.info("after", extra={"llm": {"action_id": f"after {run}"}})
        pause()


def expected(*runs: int) -> dict[str, str]:
    under = {"step": "job", "inside": "step", "after": "job"}
    return {f"{child} {run}": f"{parent} {run}" for run in runs for child, parent in under.items()}


@ONE_OF_EACH
@pytest.mark.parametrize("batches", ["one", "many"])
def test_what_is_logged_inside_a_second_run_hangs_under_the_second_run(
    batches: str, make_handler: MakeHandler, log: logging.Logger, url: str
) -> None:
    handler = make_handler()
    run_twice(log, handler.flush if batches == "many" else lambda: None)
    assert handler.flush()
    handler.close()
    log.removeHandler(handler)
    after_restart = make_handler()
    run_twice(log, after_restart.flush if batches == "many" else lambda: None, 2)
    assert after_restart.flush()
    assert parents(url) == expected(1, 2, 3, 4)
    assert after_restart.stats().id_conflict == 4


@pytest.mark.backends("sqlite")
def test_runs_at_the_same_time_keep_their_own(make_handler: MakeHandler, log: logging.Logger, url: str) -> None:
    handler = make_handler()
    runs, together = range(0, 16, 2), threading.Barrier(8)

    def run(number: int) -> None:
        together.wait()
        run_twice(log, handler.flush, number)

    threads = [threading.Thread(target=run, args=(number,)) for number in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert handler.flush()
    assert parents(url) == expected(*range(1, 17))


@pytest.mark.backends("sqlite")
def test_a_run_is_known_behind_a_queue(make_handler: MakeHandler, log: logging.Logger, url: str) -> None:
    handler = make_handler()
    waiting: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    log.handlers = [logging.handlers.QueueHandler(waiting)]
    for run in (1, 2):
        with llm_operation(log, operation_id="job", action_id=f"job {run}"):  # noqa: SIM117
            with llm_operation(log, action_id=f"step {run}"):
                pass
    while not waiting.empty():
        handler.handle(waiting.get())
    assert handler.flush()
    assert parents(url) == {"step 1": "job 1", "step 2": "job 2"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.backends("sqlite", "postgresql+psycopg2")
def test_what_a_forked_child_logs_inside_a_run_hangs_under_it(
    make_handler: MakeHandler, log: logging.Logger, url: str
) -> None:
    handler = make_handler()
    for run in (1, 2):
        with llm_operation(log, operation_id="job", action_id=f"job {run}"):
            child = os.fork()
            if child == 0:
                log.info("inside", extra={"llm": {"action_id": f"inside {run}"}})
                os._exit(not handler.flush())
            assert os.waitpid(child, 0)[1] == 0
    assert handler.flush()
    assert parents(url) == {"inside 1": "job 1", "inside 2": "job 2"}


@ONE_OF_EACH
def test_children_are_moved_where_another_process_takes_their_parents_id(
    make_handler: MakeHandler, log: logging.Logger, url: str
) -> None:
    handler, other = make_handler(), Writer(resolve(url))
    taking = records(1, operation_id="job", action_id="the other's")
    with llm_operation(log, operation_id="job", action_id="job"):
        log.info("inside", extra={"llm": {"action_id": "inside"}})
        assert handler.flush()
        other.write(taking, 1)
    assert handler.flush()
    assert handler.stats().id_conflict == 1
    assert parents(url) == {"inside": "job"}
    other.close()


@ONE_OF_EACH
@pytest.mark.parametrize("batches", ["one", "many"])
@pytest.mark.parametrize("order", ["parent first", "children first"])
def test_a_parent_named_by_its_field_is_the_one_that_was_meant(
    order: str, batches: str, make_handler: MakeHandler, log: logging.Logger, url: str
) -> None:
    handler = make_handler()

    def call(**fields: Any) -> None:
        log.info("call", extra={"llm": {"model": "m", **fields}})
        if batches == "many":
            assert handler.flush()

    for run in (1, 2, 3):
        children = [{"parent_operation_id": "job", "action_id": f"{name} {run}"} for name in "ab"]
        parent = {"operation_id": "job", "action_id": f"job {run}"}
        for fields in [parent, *children] if order == "parent first" else [*children, parent]:
            call(**fields)
    assert handler.flush()
    assert parents(url) == {f"{name} {run}": f"job {run}" for name in "ab" for run in (1, 2, 3)}


@ONE_OF_EACH
@pytest.mark.parametrize("moments", [("before",), ("after",), ("before", "after")])
def test_parents_are_right_after_attempts_that_failed(url: str, moments: Sequence[Any]) -> None:
    with stand_before(url) as stand:
        writer = Writer(resolve(stand.url), stand.engine_options)
        writer.write(records(1, operation_id="job", action_id="job 0"), 1)
        first = records(1, parent_operation_id="job", action_id="a 1")
        second = [*records(1, operation_id="job", action_id="job 1"), *records(1, action_id="x")]
        for batch in (first, second):
            stand.cut_at_commit(*moments)
            attempt = 1
            for attempt in range(1, len(moments) + 1):
                with pytest.raises(NotWritten):
                    writer.write(batch, attempt)
            writer.write(batch, attempt + 1)
        writer.close()
    assert parents(url) == {"a 1": "job 0"}


@pytest.mark.backends("sqlite")
def test_a_parent_of_another_process_stays_the_parent(url: str) -> None:
    here, there = Writer(resolve(url)), Writer(resolve(url))
    here.write(records(1, parent_operation_id="job", action_id="before"), 1)
    there.write(records(1, operation_id="job", action_id="job"), 1)
    here.write(records(1, parent_operation_id="job", action_id="after"), 1)
    assert parents(url) == {"before": "job", "after": "job"}
    for each in (here, there):
        each.close()
