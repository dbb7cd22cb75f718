"""
A SQLite file without what was deleted from it: written anew, and nothing left of it in the write-ahead log.
"""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from aicore_sqllog.errors import DatabaseError

__all__ = ["vacuum"]

_BUSY_SECONDS = 30.0
_PAUSE_SECONDS = 0.05


def vacuum(path: Path) -> None:
    """
    Write the file at *path* anew, without what was deleted.

    Nobody else writes meanwhile, and the disk needs room for the file once more, and for a log of its size.

    Raises:
        DatabaseError: If others write or read all the time.
    """
    with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)) as connection:
        try:
            connection.execute("VACUUM")
        except sqlite3.OperationalError as exc:
            raise DatabaseError(f"VACUUM of {path} failed: {exc}. What was deleted stays deleted; try again.") from exc
        give_up_at = time.monotonic() + _BUSY_SECONDS
        # What was deleted may stand in the log until all of it is in the file, which waits for whoever reads.
        while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() > give_up_at:
                raise DatabaseError(
                    f"{path} was written anew, but its write-ahead log cannot be emptied while others read. Try again."
                )
            time.sleep(_PAUSE_SECONDS)
