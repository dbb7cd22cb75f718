"""
A model of the delivery: what was logged, and what must be stored, while a real database fails in every way.

After every step the books must balance, and what they call stored must be in the rows; at the end every record
must be there exactly once with all of its messages, or in the dead letters if the database refuses it.
"""

import contextlib
import json
import logging
import os
import time
import uuid
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aicore_sqllog import SQLLogHandler
from aicore_sqllog.delivery.stats import HandlerStats
from tests.support.processes import wait_until
from tests.support.proxy import Moment
from tests.support.stands import Stand

__all__ = ["DeliveryMachine", "make_machine", "refuse_poison"]

_STORED = """
SELECT o.action_id, count(m.message_id), coalesce(max(m.sequence_number) + 1, 0)
FROM llm_operations o LEFT JOIN llm_messages m ON m.operation_id = o.operation_id
WHERE o.session_id = :session GROUP BY o.operation_id, o.action_id
"""
_REFUSALS = {
    "postgresql": "ALTER TABLE llm_operations ADD CONSTRAINT no_poison CHECK (model <> 'poison')",
    "sqlite": "CREATE TRIGGER no_poison BEFORE INSERT ON llm_operations WHEN NEW.model = 'poison' "
    "BEGIN SELECT RAISE(ABORT, 'poison'); END",
}
_CHILD_SECONDS = 40


def refuse_poison(direct: sa.Engine) -> None:
    """Have the database refuse operations of the model ``poison``."""
    with direct.begin() as connection:
        connection.exec_driver_sql(_REFUSALS[direct.dialect.name])


class DeliveryMachine(RuleBasedStateMachine):
    """Each example has a handler and a session of its own; all share one database."""

    stand: ClassVar[Stand]
    direct: ClassVar[sa.Engine]
    """To the database as it is, past every fault."""
    state: ClassVar[Path]
    forks: ClassVar[bool]
    """Whether the application forks."""
    done: ClassVar[Counter[str]]
    """How often each thing happened, over all examples."""

    def __init__(self) -> None:
        super().__init__()
        self.session = str(uuid.uuid4())
        self.messages: dict[str, int] = {}
        """Each record's number of messages, by action id, also of what children logged and of poison."""
        self.poison: set[str] = set()
        self.of_children: set[str] = set()
        self.logged = 0
        self.is_up = True
        self.is_closed = False
        self.untold_poison = self.maybe_told_poison = False
        self.handler: SQLLogHandler | None = None
        self.clock = _Clock()
        self.letters = self.state / self.session
        os.environ["XDG_STATE_HOME"] = str(self.letters)
        self.done["examples"] += 1

    @initialize(flush_interval=st.sampled_from([0.002, 3600]), batch_size=st.sampled_from([1, 3, 500]))
    def open(self, flush_interval: float, batch_size: int) -> None:
        self.handler = SQLLogHandler(
            self.stand.url,
            session_id=self.session,
            flush_interval=flush_interval,
            batch_size=batch_size,
            shutdown_timeout=0.05,
            engine_options=self.stand.engine_options,
        )
        self.logger = logging.Logger("machine")
        self.logger.addHandler(self.handler)

    # -- what an application does ----------------------------------------------------------------

    @rule(count=st.integers(1, 5), messages=st.integers(0, 3), own_id=st.sampled_from([None, "fresh", "taken"]))
    def log(self, count: int, messages: int, own_id: str | None) -> None:
        for _ in range(count):
            fields = {"fresh": {"operation_id": f"{self.session} {len(self.messages)}"}, "taken": {"operation_id": "x"}}
            self._log(messages, **fields.get(own_id or "", {}))

    @rule(messages=st.integers(0, 2))
    def poison_record(self, messages: int) -> None:
        self.poison.add(self._log(messages, model="poison"))
        self.untold_poison = self.maybe_told_poison = True

    @rule()
    def flush(self) -> None:
        handler = self._handler()
        if not self.is_up:
            stored = handler.flush(0.01)
            assert not (stored and self.untold_poison), "a loss was not told"
            self.untold_poison = False
            return
        before = handler.stats().accepted
        stored = handler.flush(60)
        stats = handler.stats()
        assert stats.accepted - stats.pending >= before, "flush gave up"
        assert not (stored and self.untold_poison), "a loss was not told"
        assert stored or self.maybe_told_poison, "a loss was told that was none"
        self.untold_poison = self.maybe_told_poison = False
        self.done["flushed"] += 1

    @precondition(lambda self: not self.is_closed)
    @rule()
    def close(self) -> None:
        self._handler().close()
        self.untold_poison, self.is_closed = False, True

    @precondition(lambda self: self.is_closed)
    @rule()
    def reopen(self) -> None:
        self._log(1)
        self.is_closed = False
        self.done["reopened"] += 1

    @precondition(lambda self: self.forks and self.is_up)
    @rule()
    def fork(self) -> None:
        """The child logs one record, flushes and goes by ``os._exit``; the parent goes on."""
        action_id = f"{len(self.messages)} of a child"
        handler = self._handler()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads and forks do not mix, as here
            pid = os.fork()
        if pid == 0:
            with contextlib.suppress(BaseException):
                self._write(action_id, 1)
                if handler.flush(_CHILD_SECONDS / 2) and handler.stats().accepted == 1:
                    os._exit(0)
            os._exit(1)
        self.messages[action_id] = 1
        self.of_children.add(action_id)
        self.done["forks"] += 1
        status: list[int] = []
        try:
            wait_until(lambda: _has_ended(pid, status), _CHILD_SECONDS)
        except AssertionError:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            raise
        assert status == [0], "the child could not store its record"

    @rule(seconds=st.sampled_from([-5 * 3600.0, -1.0, 0.5, 86_400.0]))
    def clock_jump(self, seconds: float) -> None:
        self.clock.jump(seconds)

    # -- what a database does --------------------------------------------------------------------

    @precondition(lambda self: self.is_up)
    @rule()
    def database_down(self) -> None:
        self.stand.down()
        self.is_up = False
        self.done["outages"] += 1

    @precondition(lambda self: not self.is_up)
    @rule()
    def database_up(self) -> None:
        self.stand.up()
        self.is_up = True

    @rule(seconds=st.sampled_from([0.0, 0.0005, 0.002]))
    def slow(self, seconds: float) -> None:
        self.stand.slow(seconds)

    @rule(count=st.integers(1, 3))
    def cut_before_commit(self, count: int) -> None:
        self.stand.cut_at_commit(*_times("before", count))

    @rule(count=st.integers(1, 3))
    def cut_after_commit(self, count: int) -> None:
        self.stand.cut_at_commit(*_times("after", count))

    # -- what must hold --------------------------------------------------------------------------

    @invariant()
    def the_books_balance_and_what_they_call_stored_is_there(self) -> None:
        if self.handler is None:
            return
        stats = self.handler.stats()
        self.done["steps"] += 1
        settled = stats.committed + stats.duplicate + stats.dead_lettered + stats.dropped
        assert stats.accepted == settled + stats.pending == self.logged, f"the books are out of balance: {stats}"
        assert stats.dropped == 0, "dropped"
        assert stats.dead_lettered <= len(self.poison), "in the dead letters, and not refused"
        assert len(self._rows() - self.of_children) >= stats.committed + stats.duplicate, (
            "said to be stored, and is not"
        )

    def teardown(self) -> None:
        try:
            self.stand.up()
            if self.handler is not None:
                self._finish(self.handler)
        finally:
            self.stand.disarm()
            self.clock.restore()
            if self.handler is not None:
                self.handler.close()
        self.done["records"] += len(self.messages)
        self.done["poison"] += len(self.poison)

    def _finish(self, handler: SQLLogHandler) -> None:
        handler.flush(60)
        stats = handler.stats()
        assert stats.pending == 0, stats
        assert stats.dead_lettered == len(self.poison), f"not in the dead letters: {stats}"
        letters = Counter(self._dead_letters())
        assert letters == Counter(self.poison), f"in the dead letters {letters} for {self.poison}"
        rows, wanted = self._rows(), self.messages.keys() - self.poison
        assert rows == wanted, f"lost {wanted - rows}, not refused {rows - wanted}, {stats}"
        self._note(stats)

    def _note(self, stats: HandlerStats) -> None:
        for name in ("committed", "duplicate", "dead_lettered", "id_conflict", "retries"):
            self.done[name] += getattr(stats, name)

    def _handler(self) -> SQLLogHandler:
        assert self.handler is not None
        return self.handler

    def _log(self, messages: int, **fields: str) -> str:
        action_id = str(len(self.messages))
        self.messages[action_id] = messages
        self.logged += 1
        self._write(action_id, messages, **fields)
        return action_id

    def _write(self, action_id: str, messages: int, **fields: str) -> None:
        llm: dict[str, Any] = {"model": "m", "action_id": action_id, "messages": ["x"] * messages, **fields}
        self.logger.info("call", extra={"llm": llm})

    def _rows(self) -> set[str]:
        """Return what is stored, by action id: each once, with all of its messages, and nothing that was not logged."""
        with self.direct.connect() as connection:
            rows = connection.execute(sa.text(_STORED), {"session": self.session}).all()
        found = Counter(action_id for action_id, _, _ in rows)
        assert not [action_id for action_id, count in found.items() if count > 1], "stored twice"
        for action_id, count, highest in rows:
            assert count == highest == self.messages[action_id], "messages are missing"
        return set(found)

    def _dead_letters(self) -> Iterator[str]:
        for path in self.letters.rglob("*.jsonl"):
            for line in path.read_bytes().splitlines():
                yield json.loads(line)["record"]["action_id"]


class _Clock:
    """The wall clock of this process, which an administrator sets."""

    def __init__(self) -> None:
        self._real = time.time, time.time_ns
        self._offset = 0.0

    def jump(self, seconds: float) -> None:
        now, now_ns = self._real
        self._offset += seconds
        time.time = lambda: now() + self._offset
        time.time_ns = lambda: now_ns() + int(self._offset * 1e9)

    def restore(self) -> None:
        time.time, time.time_ns = self._real


def _times(moment: Moment, count: int) -> list[Moment]:
    return [moment] * count


def _has_ended(pid: int, status: list[int]) -> bool:
    ended, code = os.waitpid(pid, os.WNOHANG)
    if ended:
        status.append(code)
    return bool(ended)


def make_machine(stand: Stand, direct: sa.Engine, state: Path, *, forks: bool) -> type[DeliveryMachine]:
    """Return the machine on a database; ``done`` begins at 0."""
    attributes = {"forks": forks, "stand": stand, "direct": direct, "state": state, "done": Counter()}
    return type("DeliveryMachineHere", (DeliveryMachine,), attributes)
