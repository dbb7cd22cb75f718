"""
Dead letters found, and stored after all, where the database takes them now.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from aicore_sqllog.errors import DatabaseError
from aicore_sqllog.journal.dead_letters import DeadLetter, DeadLetters, read_what_can_be
from aicore_sqllog.record.call_record import CallRecord
from aicore_sqllog.storage.connection import Place, show_url
from aicore_sqllog.transfer.export import Progress
from aicore_sqllog.writing.triage import NotWritten
from aicore_sqllog.writing.writer import Writer

__all__ = ["Replayed", "replay"]

_BATCH = 500


@dataclass
class Replayed:
    """What became of the dead letters."""

    stored: int = 0
    stored_before: int = 0
    refused: int = 0
    """By the database, again."""
    of_others: int = 0
    """Which another database had refused: they are not stored in this one."""
    unreadable: int = 0
    removed_files: int = 0

    @property
    def is_all_stored(self) -> bool:
        """Whether the database holds all that is this database's."""
        return self.refused == self.unreadable == 0


def replay(
    place: Place,
    files: Sequence[Path],
    *,
    any_destination: bool = False,
    remove: bool = False,
    progress: Progress = lambda table, rows: None,
) -> Replayed:
    """
    Store the dead letters in *files* in the database at *place*; what is stored already is found.

    Args:
        place: Only what this database had refused is stored, so that no prompts reach another's database.

        files: Of dead letters.

        any_destination: Store what others had refused, too.

        remove: Remove each file of which every line is stored now. A handler that runs goes on in a new file.

        progress: Is told of what is done.

    Raises:
        DatabaseError: If the database cannot be written to.
    """
    result, refused = Replayed(), _Refused()
    writer = Writer(place, dead_letters=refused)
    destination = None if any_destination else show_url(place.url)
    try:
        for path in files:
            size, left_before = path.stat().st_size, _left(result, refused)
            waiting = _letters(path, destination, result)
            while letters := list(islice(waiting, _BATCH)):
                outcome = writer.write([letter.record for letter in letters], attempt=2)
                result.stored += outcome.committed
                result.stored_before += outcome.duplicate
                progress("dead letters", len(letters))
            result.refused = refused.count
            if remove and _left(result, refused) == left_before:
                result.removed_files += _remove(path, size)
    except NotWritten as exc:
        raise DatabaseError(f"Nothing more can be stored: {exc.fault}") from exc
    finally:
        writer.close()
    return result


class _Refused(DeadLetters):
    """Counts what is refused again, and is kept where it was."""

    def __init__(self) -> None:
        super().__init__("")
        self.count = 0

    def add(self, records: Sequence[CallRecord], reason: str) -> int:
        self.count += len(records)
        return len(records)


def _letters(path: Path, destination: str | None, result: Replayed) -> Iterator[DeadLetter]:
    for found in read_what_can_be(path):
        if not isinstance(found, DeadLetter):
            result.unreadable += 1
        elif destination is not None and found.destination != destination:
            result.of_others += 1
        else:
            yield found


def _left(result: Replayed, refused: _Refused) -> int:
    return result.unreadable + result.of_others + refused.count


def _remove(path: Path, size: int) -> int:
    """Remove the file if it is still as it was read; return how many were removed."""
    aside = path.with_suffix(".replayed")
    path.rename(aside)  # what is appended by its name from now on begins a new file
    if aside.stat().st_size == size:
        aside.unlink()
        return 1
    if not path.exists():
        aside.rename(path)
    return 0
