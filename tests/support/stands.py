"""
A database to fail on demand, the same for every backend: behind the fault proxy, or SQLite with stated injections.

What stands for a fault on SQLite, which has no connection to cut: another connection's write lock for
*down*; for a cut at COMMIT ``SyncDatabase.run``, which raises instead of committing, or after it has.
"""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from aicore_sqllog.storage.database import SyncDatabase
from tests.support.proxy import FaultProxy, Moment

__all__ = ["ProxyStand", "SqliteStand", "Stand", "stand_before"]


class Stand(Protocol):
    """A database whose failures the test decides."""

    url: str
    """Where the code under test connects."""
    engine_options: dict[str, Any]
    cuts: list[Moment]

    def down(self) -> None: ...
    def up(self) -> None: ...
    def slow(self, seconds: float) -> None: ...
    def cut_at_commit(self, *moments: Moment) -> None: ...
    def disarm(self) -> None: ...


class ProxyStand:
    """A server behind a proxy."""

    def __init__(self, proxy: FaultProxy, url: URL) -> None:
        self._proxy = proxy
        self.url = proxy.through(url).render_as_string(hide_password=False)
        self.engine_options: dict[str, Any] = {}
        self.cuts = proxy.cuts
        self.cut_at_commit = proxy.cut_at_commit
        self.disarm = proxy.disarm

    def down(self) -> None:
        self._proxy.refuse()
        self._proxy.cut()

    def up(self) -> None:
        self._proxy.delay = 0.0
        self._proxy.accept()

    def slow(self, seconds: float) -> None:
        self._proxy.delay = seconds


class SqliteStand:
    """A SQLite file."""

    def __init__(self, url: URL) -> None:
        self.url = url.render_as_string(hide_password=False)
        # What waits for the lock is to fail soon, as what finds no server does.
        self.engine_options: dict[str, Any] = {"connect_args": {"timeout": 0.002}}
        self.cuts: list[Moment] = []
        self._path = Path(url.database or "")
        self._armed: list[Moment] = []
        self._locker: sqlite3.Connection | None = None
        self._delay = 0.0

    def down(self) -> None:
        if self._locker is None:
            self._locker = sqlite3.connect(self._path, isolation_level=None, timeout=30, check_same_thread=False)
            self._locker.execute("BEGIN IMMEDIATE")

    def up(self) -> None:
        locker, self._locker, self._delay = self._locker, None, 0.0
        if locker is not None:
            locker.execute("ROLLBACK")
            locker.close()

    def slow(self, seconds: float) -> None:
        self._delay = seconds

    def cut_at_commit(self, *moments: Moment) -> None:
        self._armed.extend(moments)

    def disarm(self) -> None:
        self._armed.clear()

    @contextlib.contextmanager
    def injected(self) -> Iterator[None]:
        """Inject faults into what runs on synchronous engines, while this lasts."""
        run = SyncDatabase.run
        SyncDatabase.run = self._failing(run)  # type: ignore[method-assign]
        try:
            yield
        finally:
            SyncDatabase.run = run  # type: ignore[method-assign]

    def _failing(self, run: Callable[..., Any]) -> Callable[..., Any]:
        def run_and_fail(database: SyncDatabase, work: Callable[[sa.Connection], Any]) -> Any:
            time.sleep(self._delay)
            moment: Moment | None = None

            def work_and_fail(connection: sa.Connection) -> Any:
                nonlocal moment
                result = work(connection)
                moment = self._armed.pop(0) if self._armed else None
                if moment == "before":
                    self._fail(moment)
                return result

            result = run(database, work_and_fail)
            if moment == "after":
                self._fail(moment)
            return result

        return run_and_fail

    def _fail(self, moment: Moment) -> None:
        self.cuts.append(moment)
        raise sa.exc.OperationalError("COMMIT", None, sqlite3.OperationalError(f"cut {moment} COMMIT"))


@contextlib.contextmanager
def stand_before(url: str | URL) -> Iterator[Stand]:
    """A stand for the database at *url*."""
    target = make_url(url)
    if target.get_backend_name() == "sqlite":
        stand = SqliteStand(target)
        with stand.injected():
            yield stand
            stand.up()
        return
    with FaultProxy(target) as proxy:
        yield ProxyStand(proxy, target)
