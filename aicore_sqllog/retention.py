"""
Deleting that really deletes: what is too old, a user's, a session's, a workspace's; or its texts alone.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa

from aicore_sqllog.errors import ConfigurationError, LogNotFoundError, SchemaError
from aicore_sqllog.querying import filter_values
from aicore_sqllog.storage.connection import SYNC_FIRST, Connection, Place, resolve, show_url
from aicore_sqllog.storage.dialects.lookup import dialect_of
from aicore_sqllog.storage.prune import Counts, Matching
from aicore_sqllog.storage.pruning import Pruning
from aicore_sqllog.storage.revisions import look

__all__ = ["Counts", "PruneResult", "prune"]

_LEAST_REVISION = "0002"


@dataclass(frozen=True, slots=True)
class PruneResult:
    """
    What went, or would go.

    Attributes:
        deleted: Rows that were deleted, by table; with ``dry_run`` those that would be.

        emptied: Operations and messages whose texts were taken out; with ``dry_run`` those whose would be.

        left: Rows that match, counted afterwards: all zero, unless writers stored more that match meanwhile.

        transactions: How many it took.

        longest_seconds: How long the longest of them took, and so kept others waiting at most.

        dry_run: Whether nothing was changed.
    """

    deleted: Counts
    emptied: Counts
    left: Counts
    transactions: int = 0
    longest_seconds: float = 0.0
    dry_run: bool = False


def prune(
    connection: Connection | None = None,
    *,
    before: str | date | datetime | None = None,
    content_before: str | date | datetime | None = None,
    user_id: str | Iterable[str | None] | None = None,
    session_id: str | UUID | Iterable[str | UUID | None] | None = None,
    workspace: str | Iterable[str | None] | None = None,
    schema: str | None = None,
    orphans: bool = False,
    dry_run: bool = False,
    vacuum: bool = False,
    progress: Callable[[int, int], object] | None = None,
) -> PruneResult:
    """
    Delete calls for ever, and return what went: operations with their messages, and sessions that have none left.

    It works in short transactions beside live writers, which lose nothing, and may be stopped at any moment, by a
    signal or a crash: nothing is half deleted, and the next call goes on. Conditions combine with *and*. At the end
    what matches is counted again.

    Args:
        connection: Where the log lives, as for the readers.

        before: Calls before this moment; also losses, and sessions begun before it that have no calls. A naive time,
            or a date alone, which is its first moment, is UTC.

        content_before: Takes the texts out of calls before this moment: contents and parts of messages, error texts,
            and of ``extras["sqllog"]`` message, request, traceback and what did not fit a column. Roles, names,
            numbers, costs and extras of your own stay. Given without *before*, nothing is deleted.

        user_id, session_id, workspace: Of these alone, one or one of several; a session by its id as it was logged.

        schema: The database schema of the tables, where it is not the default one.

        orphans: Delete messages and operations that belong to nothing any more; see ``docs/databases.md``.

        dry_run: Change nothing; count what would go.

        vacuum: Give the space back to the disk, and leave nothing of what was deleted in the file: SQLite alone. Others
            cannot write meanwhile, and the disk needs room for the file once more.

        progress: Called as ``progress(done, total)`` with numbers of operations, after each transaction. What it raises
            ends the work.

    Raises:
        ValueError: If nothing says what shall go, or a value cannot be right.
        LogNotFoundError: If there is no such log; nothing is created.
        ConfigurationError: If the connection cannot work, or cannot be vacuumed.
        SchemaError: If the tables are older than this needs.
        DatabaseError: If the database refuses, or others hold what is needed for a minute.
    """
    deleting, emptying = _asked_for(before, content_before, user_id, session_id, workspace)
    if deleting is None and emptying is None and not orphans and not vacuum:
        raise ValueError(
            "prune needs to be told what shall go. Give before, content_before, user_id, session_id or workspace."
        )
    place = _existing(resolve(connection, SYNC_FIRST, schema), vacuum)
    wanted = [one for one in (deleting, Matching(orphaned=True) if orphans else None) if one is not None]
    report = _Progress(progress)
    pruning = Pruning(place, report.add)
    try:
        pruning.read(lambda opened: _check_tables(opened, place))
        if dry_run or progress is not None:
            found, texts = _counted(pruning, wanted, emptying)
            report.total = found.operations + texts.operations
        if dry_run:
            return PruneResult(found, texts, found, dry_run=True)
        deleted = _sum(pruning.delete(one) for one in wanted)
        emptied = pruning.empty(emptying) if emptying is not None else Counts()
        left = _sum(_counted(pruning, wanted, emptying))
        if vacuum:
            dialect_of(place.url).give_back_space(place.url)
        return PruneResult(deleted, emptied, left, pruning.transactions, pruning.longest_seconds)
    finally:
        pruning.close()


class _Progress:
    def __init__(self, tell: Callable[[int, int], object] | None) -> None:
        self._tell = tell
        self._done = 0
        self.total = 0

    def add(self, operations: int) -> None:
        self._done += operations
        if self._tell is not None:
            self._tell(self._done, max(self._done, self.total))


def _asked_for(
    before: object, content_before: object, user_id: object, session_id: object, workspace: object
) -> tuple[Matching | None, Matching | None]:
    """Return what shall be deleted, and what emptied."""
    users = None if user_id is None else filter_values.read_several("user_id", user_id, filter_values.read_name)
    spaces = None if workspace is None else filter_values.read_several("workspace", workspace, filter_values.read_name)
    several = None
    if session_id is not None:
        several = filter_values.read_several("session_id", session_id, filter_values.read_session)
    deleting = Matching(_moment("before", before), users, several, spaces)
    emptying = Matching(_moment("content_before", content_before), users, several, spaces)
    is_deleting = before is not None or (content_before is None and deleting != Matching())
    return deleting if is_deleting else None, emptying if content_before is not None else None


def _moment(name: str, value: object) -> datetime | None:
    return None if value is None else filter_values.read_start(name, value)


def _existing(place: Place, vacuum: bool) -> Place:
    if vacuum and (place.file is None or dialect_of(place.url).is_in_memory(place.url)):
        raise ConfigurationError(
            f"vacuum=True cannot work on {show_url(place.url)}, which is no file. A server uses the space of deleted "
            "rows again by itself; VACUUM FULL (PostgreSQL) or OPTIMIZE TABLE (MySQL, MariaDB) gives it to the disk."
        )
    if place.file is not None and place.borrowed is None and not place.file.exists():
        raise LogNotFoundError(f"There is no log at {place.file}: the file does not exist, and nothing was created.")
    return place


def _check_tables(connection: sa.Connection, place: Place) -> None:
    found = look(connection, place.schema)
    if found.revision is None:
        raise LogNotFoundError(f"There is no log in {show_url(place.url)}: it has none of our tables.")
    if not found.is_later and (found.shown or "") < _LEAST_REVISION:
        raise SchemaError(
            f"The tables are at revision {found.revision}, and pruning needs {_LEAST_REVISION}. "
            f"Run `aicore-sqllog upgrade --connection {show_url(place.url)}`."
        )


def _counted(pruning: Pruning, wanted: Iterable[Matching], emptying: Matching | None) -> tuple[Counts, Counts]:
    texts = pruning.count_texts(emptying) if emptying is not None else Counts()
    return _sum(pruning.count(one) for one in wanted), texts


def _sum(counts: Iterable[Counts]) -> Counts:
    total = Counts()
    for one in counts:
        total = total.plus(one)
    return total
