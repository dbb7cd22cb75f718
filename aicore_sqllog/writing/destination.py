"""
Where the writer writes to: connected, and with its tables, whenever there is something to write.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import sqlalchemy as sa

from aicore_sqllog.storage.connection import Place
from aicore_sqllog.storage.database import Database
from aicore_sqllog.storage.dialects.lookup import dialect_of
from aicore_sqllog.storage.engines import open_database
from aicore_sqllog.storage.migrate import MigrateMode
from aicore_sqllog.storage.preparation import prepare

__all__ = ["Destination", "NoRecordInvolvedError"]

T = TypeVar("T")


class NoRecordInvolvedError(Exception):
    """What was met while nothing of any record had been sent yet; ``__cause__`` is the error."""


class Destination:
    """
    One database, which is connected to, and its tables brought up to date, before the first piece of work.

    Args:
        place: The database.

        engine_options: Keyword arguments for ``create_engine``.

        migrate: See :func:`aicore_sqllog.storage.migrate.ensure_schema`.

        say: Gets a sentence for a person, such as that a database was created.
    """

    def __init__(
        self,
        place: Place,
        engine_options: Mapping[str, Any] | None,
        migrate: MigrateMode,
        say: Callable[[str], None],
    ) -> None:
        self._place = place.with_options(engine_options)
        self._engine_options = engine_options
        self._migrate: MigrateMode = migrate
        self._say = say
        self._file: tuple[int, int] | None = None
        self.database: Database | None = None
        self.largest_row: int | None = None
        """How many bytes a row, or a statement, may have, where the server has such a limit."""

    def run(self, work: Callable[[sa.Connection], T]) -> T:
        """
        Return what *work* returns, committed.

        Raises:
            NoRecordInvolvedError: If the transaction could not begin.
        """
        has_begun = False

        def begin_and_work(connection: sa.Connection) -> T:
            nonlocal has_begun
            has_begun = True
            return work(connection)

        try:
            return self._ready_database().run(begin_and_work)
        except Exception as exc:
            if has_begun:
                raise
            raise NoRecordInvolvedError from exc

    def answers(self) -> bool:
        """Whether the server answers a query."""
        try:
            self.run(lambda connection: connection.exec_driver_sql("SELECT 1"))
        except Exception:
            return False
        return True

    def close(self) -> None:
        """Close the connections that are ours; a borrowed engine stays as it is. The next run connects again."""
        if self.database is not None:
            self.database.close()

    def reset(self) -> None:
        """Close the connections, and have the next run bring the tables up to date again: they may be missing."""
        self.close()
        self.database = None

    def forget(self) -> None:
        """Leave the connections to the parent of this process, which still uses them."""
        database, self.database = self.database, None
        if database is not None:
            database.forget()

    def _ready_database(self) -> Database:
        if self.database is not None and self._file != self._place.file_identity():
            self.reset()  # the file was moved or removed: what is written to it now, nobody would find
        if self.database is None:
            database = open_database(self._place, self._engine_options)
            try:
                self._prepare(database)
            except BaseException:
                database.close()
                raise
            self.database, self._file = database, self._place.file_identity()
        return self.database

    def _prepare(self, database: Database) -> None:
        prepare(database, self._place, self._engine_options, self._migrate, self._say)
        self.largest_row = database.run(lambda connection: dialect_of(connection).largest_row(connection))
