"""The delivery against its model, on a real database that fails in every way; and faults that are planted are found."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy.engine import make_url
from sqlalchemy.pool import StaticPool

from aicore_sqllog.batching import worker
from aicore_sqllog.storage.connection import resolve
from aicore_sqllog.storage.database import SyncDatabase
from aicore_sqllog.writing import ids, writer
from tests.conftest import REPORT
from tests.support.delivery_model import DeliveryMachine, make_machine, refuse_poison
from tests.support.stands import stand_before

# What fails for the timing of threads does not survive shrinking: a failure is shown as it happened.
FEW = settings(
    phases=[Phase.generate],
    max_examples=15,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
PARTS = 4
"""Of the long run, so that it can use several processes."""
MANY = settings(FEW, max_examples=2000 // PARTS, derandomize=False, print_blob=True)
FIND = settings(FEW, max_examples=200)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(worker, "_LONGEST_PAUSE_SECONDS", 0.02)


@contextmanager
def machine_on(url: str, state: Path) -> Iterator[type[DeliveryMachine]]:
    direct = sa.create_engine(make_url(url), isolation_level="AUTOCOMMIT", poolclass=StaticPool)
    made = writer.Writer(resolve(url))
    made.write([], 1)
    made.close()
    refuse_poison(direct)
    try:
        with stand_before(url) as stand:
            # A connection to SQLite's file does not survive a fork, and takes the child's with it.
            yield make_machine(stand, direct, state, forks=True)
    finally:
        direct.dispose()


def run(url: str, state: Path, how: settings) -> None:
    with machine_on(url, state) as machine:
        run_state_machine_as_test(machine, settings=how)
        cuts = {moment: machine.stand.cuts.count(moment) for moment in ("before", "after")}
        REPORT.append(f"delivery machine, {url.split(':')[0]}: {dict(machine.done)}, cut at COMMIT {cuts}")


@pytest.mark.backends("postgresql+psycopg2", "sqlite")
def test_every_record_is_stored_once_whatever_happens(url: str, tmp_path: Path) -> None:
    run(url, tmp_path, FEW)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.backends("postgresql+psycopg2", "sqlite")
def test_every_record_is_stored_once_whatever_happens_2000_times(url: str, part: int, tmp_path: Path) -> None:
    run(url, tmp_path, MANY)


def acknowledge_before_commit(database: SyncDatabase, work: Callable[[sa.Connection], Any]) -> Any:
    with database.engine.connect() as connection:
        result = work(connection)
        with suppress(sa.exc.DBAPIError):
            connection.commit()
        return result


def recognise_nothing(session: Any, records: Any, may_be_stored: bool, links: Any) -> Any:
    return ids.choose_ids(session, records, False, links)


@pytest.mark.parametrize(
    ("holder", "name", "fault"),
    [
        pytest.param(SyncDatabase, "run", acknowledge_before_commit, id="acknowledged-before-commit"),
        pytest.param(writer, "choose_ids", recognise_nothing, id="replays-not-recognised", marks=pytest.mark.long),
    ],
)
@pytest.mark.backends("postgresql+psycopg2")
def test_a_planted_fault_is_found(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, holder: Any, name: str, fault: Callable[..., Any]
) -> None:
    monkeypatch.setattr(holder, name, fault)
    found = "lost|said to be stored|in the dead letters|Flaky"
    with machine_on(url, tmp_path) as machine, pytest.raises((AssertionError, Flaky), match=found):
        run_state_machine_as_test(machine, settings=FIND)
