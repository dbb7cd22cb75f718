"""
Works off what :mod:`aicore_sqllog.storage.prune` finds: in short transactions, beside writers, page by page.

What was interrupted, however, goes on when it is begun again: each transaction leaves the log whole.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar
from uuid import UUID

import sqlalchemy as sa

from aicore_sqllog.errors import DatabaseError
from aicore_sqllog.storage import prune
from aicore_sqllog.storage.connection import Place
from aicore_sqllog.storage.database import Database
from aicore_sqllog.storage.dialects.lookup import dialect_of
from aicore_sqllog.storage.drivers import choose
from aicore_sqllog.storage.engines import open_database, reader_engine
from aicore_sqllog.storage.faults import Kind, diagnose, without_values
from aicore_sqllog.storage.prune import Conditions, Counts, Key, Matching
from aicore_sqllog.storage.transactions import reading

__all__ = ["Pruning"]

T = TypeVar("T")
Step = Callable[..., Counts]
"""Works off operations or sessions: gets a connection, and their ``ids``."""
Done = Callable[[int], None]
"""Gets how many operations were worked off, after each transaction."""

_PAGE = 5_000
"""Ids that are looked up at once, without a lock."""

_SMALLEST, _LARGEST = 10, 500
_WANTED_SECONDS = 0.05
"""How long a transaction should take: on SQLite all writers wait for it."""

_GIVE_UP_SECONDS = 60.0
"""For how long the same transaction is tried again where others hold what it needs."""

_RETRY_SECONDS = 0.1


class Pruning:
    """
    One run over one log.

    Args:
        place: The log, which is there.

        done: Gets how many operations were worked off, after each transaction.
    """

    def __init__(self, place: Place, done: Done) -> None:
        self._database: Database = open_database(place)
        can_read = place.borrowed is not None or choose(place.url, asynchronous=False) is not None
        self._reader = reader_engine(place) if can_read else None
        self._place = place
        self._done = done
        self._pauses = dialect_of(place.url).has_one_writer
        self._size = _SMALLEST
        self.transactions = 0
        self.longest_seconds = 0.0

    def close(self) -> None:
        """Close the connections that are ours."""
        self._database.close()
        if self._reader is not None and self._place.borrowed is None:
            self._reader.dispose()

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """Return what *work* reads, without keeping writers waiting."""
        if self._reader is None:
            return self._attempt(lambda: self._database.run(work))
        with reading(self._reader, is_lent=self._place.borrowed is not None) as connection:
            return work(connection)

    def count(self, matching: Matching) -> Counts:
        """Return how much matches."""
        return self.read(lambda connection: prune.count(connection, matching))

    def count_texts(self, matching: Matching) -> Counts:
        """Return how many operations that match, and their messages, have texts."""
        found = Counts()
        for ids in self._operations([*matching.of_operations(), prune.may_have_texts()]):
            found = found.plus(self.read(partial(prune.count_texts, ids=ids)))
        return found

    def delete(self, matching: Matching) -> Counts:
        """Delete what matches."""
        deleted = Counts()
        if matching.orphaned:
            deleted = self._work_off(self._pages(prune.orphaned_messages_after), prune.delete_orphaned_messages)
        deleted = deleted.plus(self._work_off(self._operations(matching.of_operations()), prune.delete_operations))
        empty = matching.of_empty_sessions()
        if empty is not None:
            found = self._pages(partial(prune.empty_sessions_after, conditions=empty))
            deleted = deleted.plus(self._work_off(found, prune.delete_empty_sessions))
        losses = matching.of_losses()
        if losses is not None:
            deleted = deleted.plus(self._write(lambda connection: prune.delete_losses(connection, losses)))
        return deleted

    def empty(self, matching: Matching) -> Counts:
        """Take the texts out of what matches."""
        found = self._operations([*matching.of_operations(), prune.may_have_texts()])
        return self._work_off(found, prune.empty_texts)

    def _work_off(self, pages: Iterator[Sequence[UUID]], step: Step) -> Counts:
        total = Counts()
        for page in pages:
            start = 0
            while start < len(page):
                ids = page[start : start + self._size]
                counts = self._write(partial(step, ids=ids))
                total = total.plus(counts)
                start += len(ids)
                self._done(counts.operations)
        return total

    def _operations(self, conditions: Conditions) -> Iterator[Sequence[UUID]]:
        after: Key | None = None
        while True:
            keys = self.read(partial(prune.operations_after, conditions=conditions, after=after, limit=_PAGE))
            if not keys:
                return
            after = keys[-1]
            for start in range(0, len(keys), _LARGEST):
                yield [operation_id for _, operation_id in keys[start : start + _LARGEST]]

    def _pages(self, find: Callable[..., Sequence[UUID]]) -> Iterator[Sequence[UUID]]:
        after: UUID | None = None
        while page := self.read(partial(find, after=after, limit=_PAGE)):
            yield page
            after = page[-1]

    def _write(self, work: Callable[[sa.Connection], Counts]) -> Counts:
        """Return what *work* did, committed; make the next transaction as long as one should be."""
        begun_at = [0.0]

        def timed(connection: sa.Connection) -> Counts:
            begun_at[0] = time.monotonic()
            dialect_of(connection).go_by_keys(connection)
            return work(connection)

        counts = self._attempt(lambda: self._database.run(timed))
        seconds = time.monotonic() - begun_at[0]
        self.transactions += 1
        self.longest_seconds = max(self.longest_seconds, seconds)
        factor = min(2.0, max(0.5, _WANTED_SECONDS / max(seconds, 1e-6)))
        self._size = min(_LARGEST, max(_SMALLEST, int(self._size * factor)))
        if self._pauses:
            time.sleep(seconds)  # who waits for the one lock looks for it now and then: it must be free as often as not
        return counts

    def _attempt(self, work: Callable[[], T]) -> T:
        give_up_at = time.monotonic() + _GIVE_UP_SECONDS
        while True:
            try:
                return work()
            except (sa.exc.SQLAlchemyError, OSError) as exc:
                fault = diagnose(exc)
                if fault.kind not in (Kind.CONTENTION, Kind.TRANSIENT) or time.monotonic() > give_up_at:
                    raise DatabaseError(
                        f"Pruning failed: {fault} What was deleted so far stays deleted; call it again to go on."
                    ) from without_values(exc)
            time.sleep(_RETRY_SECONDS)
