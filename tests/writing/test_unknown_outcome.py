"""A commit whose outcome is unknown, tried again, also by another writer and among new records: all exactly once."""

import logging
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from aicore_sqllog.batching.counts import Outcome
from aicore_sqllog.capture.build import Defaults, RecordBuilder
from aicore_sqllog.capture.snapshot import take_snapshot
from aicore_sqllog.record.call_record import CallRecord
from aicore_sqllog.storage.connection import resolve
from aicore_sqllog.writing.triage import NotWritten
from aicore_sqllog.writing.writer import Writer
from tests.conftest import REPORT
from tests.support.proxy import Moment
from tests.support.servers import engine_of, execute
from tests.support.stands import Stand, stand_before

ROUNDS = [pytest.param(20, id="20"), pytest.param(200, id="200", marks=pytest.mark.long)]
BUILDER = RecordBuilder(Defaults())


class Source:
    """Makes records of every sort: with none or several messages, ids of the caller's, ids that are taken."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.messages: dict[str, int] = {}
        """How many messages each record has that was made, by action id."""

    def make(self, count: int) -> list[CallRecord]:
        return [self._one() for _ in range(count)]

    def _one(self) -> CallRecord:
        number, choose = len(self.messages), self._random.choice
        own_id = choose(({}, {}, {"operation_id": f"o{number}"}, {"operation_id": f"o{number // 8}"}))
        return self.one(f"r{number}", choose((0, 0, 1, 3)), session_id=f"s{number // 50}", **own_id)

    def one(self, action_id: str, messages: int, **fields: str) -> CallRecord:
        """Return a record with so many messages."""
        self.messages[action_id] = messages
        llm = {"model": "m", "action_id": action_id, "messages": ["x"] * messages, **fields}
        snapshot = take_snapshot(logging.makeLogRecord({"llm": llm}))
        assert snapshot is not None
        return BUILDER.build(snapshot)


def stored(url: str) -> Counter[tuple[str, int]]:
    """Return how often each record is stored: its action id and its number of messages, in an unbroken sequence."""
    rows = execute(
        url,
        "select o.action_id, count(m.message_id), coalesce(max(m.sequence_number) + 1, 0) from llm_operations o "
        "left join llm_messages m on m.operation_id = o.operation_id group by o.operation_id, o.action_id",
    )
    assert all(count == highest for _, count, highest in rows)
    return Counter((action_id, count) for action_id, count, _ in rows)


def write_until_settled(stand: Stand, writers: Sequence[Writer], batch: list[CallRecord], first: int) -> Outcome:
    """Try as the worker does, with another writer each time, as after a restart."""
    for attempt in range(first, 20):
        try:
            return writers[attempt % len(writers)].write(batch, attempt)
        except NotWritten:
            continue
    raise AssertionError("never settled")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.backends("sqlite", "postgresql+psycopg2", "postgresql+psycopg", "mysql+pymysql")
def test_a_mixed_batch_after_an_unknown_commit_is_stored_exactly_once(url: str, rounds: int) -> None:
    source, chance = Source(rounds), random.Random(rounds)
    with stand_before(url) as stand:
        writers = [Writer(resolve(stand.url), stand.engine_options) for _ in range(2)]
        for writer in writers:
            writer.write(source.make(1), 1)
        for _ in range(rounds):
            old, new = source.make(chance.randint(1, 12)), source.make(chance.randint(0, 12))
            moment: Moment = chance.choice(("after", "after", "before"))
            stand.cut_at_commit(moment)
            with pytest.raises(NotWritten):
                writers[0].write(old, 1)
            stand.cut_at_commit(*chance.choices(("after", "before"), k=chance.choice((0, 1, 2))))
            mixed = [*old, *new]
            chance.shuffle(mixed)
            outcome = write_until_settled(stand, writers[chance.randint(0, 1) :], mixed, 2)
            stand.disarm()
            assert outcome.committed + outcome.duplicate == len(mixed)
            assert moment == "before" or outcome.duplicate >= len(old)
        for writer in writers:
            writer.close()
    assert stored(url) == Counter(source.messages.items())
    REPORT.append(
        f"{url.split(':')[0]}: {rounds} rounds, cut {dict(Counter(stand.cuts))}, {len(source.messages)} records once"
    )


@pytest.mark.backends("sqlite", "postgresql+psycopg2", "mysql+pymysql")
def test_a_single_record_whose_commits_are_cut_is_stored_and_no_dead_letter(url: str) -> None:
    source = Source(0)
    with stand_before(url) as stand:
        writer = Writer(resolve(stand.url), stand.engine_options)
        writer.write(source.make(1), 1)
        plans: tuple[list[Moment], ...] = (["before"] * 4, ["after"] * 4, ["before", "after", "after"])
        for moments in plans:
            stand.cut_at_commit(*moments)
            outcome = write_until_settled(stand, [writer], source.make(1), 1)
            assert outcome.committed + outcome.duplicate == 1
        writer.close()
    assert stored(url) == Counter(source.messages.items())


@pytest.mark.parametrize("messages", [0, 2])
@pytest.mark.backends("sqlite", "postgresql+psycopg2", "mysql+pymysql")
def test_an_id_that_another_takes_between_two_attempts_merges_no_calls(url: str, messages: int) -> None:
    """The first attempt is cut before COMMIT, then another process stores a call of its own under the same id."""
    source = Source(0)
    mine, other = (source.one(f"a{number}", messages, operation_id="the same") for number in (1, 2))
    with stand_before(url) as stand:
        writer, writer_of_other = (Writer(resolve(stand.url), stand.engine_options) for _ in range(2))
        writer.write(source.make(1), 1)
        stand.cut_at_commit("before")
        with pytest.raises(NotWritten):
            writer.write([mine], 1)
        assert writer_of_other.write([other], 1) == (1, 0, 0, 0, 0)
        assert writer.write([mine], 2) == (1, 0, 0, 0, 1)
        assert writer.write([mine], 3) == (0, 1, 0, 0, 0)
        for each in (writer, writer_of_other):
            each.close()
    assert stored(url) == Counter(source.messages.items())


@pytest.mark.backends("postgresql+psycopg2", "mysql+pymysql")
def test_an_id_that_another_takes_within_the_attempt_merges_no_calls(url: str) -> None:
    """Another process stores a call under the same id after it was looked up, and before it is inserted."""
    source = Source(0)
    ids = {"operation_id": "the same", "session_id": "s0"}  # the session is stored: nobody waits for its row
    mine, other = (source.one(action_id, 0, **ids) for action_id in ("mine", "other"))
    writer, writer_of_other = Writer(resolve(url)), Writer(resolve(url))
    for each in (writer, writer_of_other):
        each.write(source.make(1), 1)
    waiting = [other]

    def overtake(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO llm_operations") and waiting:
            assert writer_of_other.write([waiting.pop()], 1) == (1, 0, 0, 0, 0)

    sa.event.listen(engine_of(writer.destination.database), "before_cursor_execute", overtake)
    assert writer.write([mine], 1) == (1, 0, 0, 0, 1)
    for each in (writer, writer_of_other):
        each.close()
    assert stored(url) == Counter(source.messages.items())
