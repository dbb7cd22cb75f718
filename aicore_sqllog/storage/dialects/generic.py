"""
What a database decides, and how it is decided for one that SQLAlchemy knows and we do not: by plain SQL alone.

Each database that is known overrides what is different there, in a file of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeEngine

from aicore_sqllog.storage.dialects.fast_inserts import FastInsert
from aicore_sqllog.storage.dialects.json_members import JsonPart, JsonPath
from aicore_sqllog.storage.kinds import Verdict

__all__ = ["CONNECT_SECONDS", "SOCKET_SECONDS", "Driver", "Drivers", "GenericDialect", "Purpose", "swap_attributes"]

CONNECT_SECONDS = 5
"""How long a connection may take to be made: unset, a port that swallows packets takes minutes."""

SOCKET_SECONDS = 60
"""How long the answer to a statement of the writer's may take."""

MIGRATION_SECONDS = 24 * 60 * 60
"""The same for a migration: an index on a large table takes what it takes, and is all in vain if it is cut off."""


_UNKNOWN_FUNCTION = "how_to_look_into_json_is_not_known_of_this_database"
"""An error of the database then says so; a statement must be written before anybody knows where it will run."""


class Purpose(Enum):
    """What a connection is used for."""

    READ = "read"
    WRITE = "write"
    MIGRATE = "migrate"


class Driver(NamedTuple):
    """A driver: its name in URLs, and the module that shows whether it is installed."""

    name: str
    module: str


class Drivers(NamedTuple):
    """The drivers of one database, the preferred ones first, and the extra that installs them."""

    synchronous: Sequence[Driver]
    asynchronous: Sequence[Driver]
    extra: str


class GenericDialect:
    """
    A database that nobody has tested: plain inserts, no settings, no limits known.

    Methods that get a ``dbapi_connection`` work on the driver's own, or on SQLAlchemy's synchronous
    face of an asynchronous one.
    """

    names: ClassVar[tuple[str, ...]] = ()
    """What URLs and SQLAlchemy's dialects call it."""
    drivers: ClassVar[Drivers | None] = None
    """None: its owner knows the driver."""
    instants_have_zones: ClassVar[bool] = False
    """Whether a bound instant carries its zone; else it is bound naive, in UTC."""
    waits_for_stored_rows: ClassVar[bool] = True
    """Whether an insert that ignores what is stored locks that, so that two writers soon wait for each other."""
    has_schemas: ClassVar[bool] = True
    has_one_writer: ClassVar[bool] = False
    """Whether a transaction that writes keeps all others from writing."""

    # -- URLs --------------------------------------------------------------------------------------

    def file_of(self, url: URL) -> Path | None:
        """Return the absolute path of the file that is the database; None where it is a server."""
        return None

    def is_in_memory(self, url: URL) -> bool:
        """Whether the database lives in one connection only."""
        return False

    def absolute(self, url: URL) -> URL:
        """Return *url* such that it means the same in another folder."""
        return url

    def read_only(self, url: URL) -> URL:
        """Return *url* such that opening it creates nothing."""
        return url

    def translated(self, url: URL, old: str, new: str) -> URL:
        """Return *url*, written for the driver *old*, with its query in the words of the driver *new*."""
        return url

    # -- engines of our own ------------------------------------------------------------------------

    def connect_args(self, driver: str, purpose: Purpose) -> Mapping[str, Any]:
        """Return what the driver's ``connect`` gets, unless the URL or the user says otherwise."""
        return {}

    def required_connect_args(self, driver: str) -> Mapping[str, Any]:
        """Return what the driver's ``connect`` gets whatever URL and user say, for nothing works without it."""
        return {}

    def engine_settings(self, driver: str, purpose: Purpose) -> Mapping[str, Any]:
        """Return what ``create_engine`` gets, unless the user says otherwise."""
        return {"pool_pre_ping": True}

    def prepare_engine(self, engine: Engine, url: URL, purpose: Purpose) -> None:
        """Set on *engine*, which is ours, what its connections need."""

    # -- transactions ------------------------------------------------------------------------------

    def hold(self, connection: sa.Connection) -> Callable[[], None]:
        """
        Set on a lent connection, outside any transaction, what must hold; return what puts it back.

        Drivers that commit each statement by themselves have an attribute that says so.
        """
        lent: Any = connection.connection.dbapi_connection
        return swap_attributes(lent, {"autocommit": False} if getattr(lent, "autocommit", None) is True else {})

    def begin(self, connection: sa.Connection, purpose: Purpose) -> None:
        """Set what holds for the transaction that has just begun, and ends with it."""

    def migration_lock(self, connection: sa.Connection, schema: str | None) -> AbstractContextManager[None]:
        """Let one process at a time migrate, for as long as it takes."""
        return nullcontext()

    # -- writing -----------------------------------------------------------------------------------

    def insert_ignoring(self, model: type[Any]) -> sa.Insert:
        """Return an INSERT that leaves rows that are there as they are, where the database has one."""
        return sa.insert(model)

    def fast_insert(self, connection: sa.Connection) -> FastInsert | None:
        """Return what inserts rows faster than the ORM through *connection*; None where nothing does."""
        return None

    def largest_row(self, connection: sa.Connection) -> int | None:
        """Return how many bytes one row, or one statement, may have; None where nobody reaches the limit."""
        return None

    # -- reading -----------------------------------------------------------------------------------

    def copied_csv(self, connection: sa.Connection, select: sa.Select[Any]) -> bytes | None:
        """Return the rows of *select* as CSV, NULL empty and '' quoted, where that is faster; else None."""
        return None

    def text_position(self, column: sa.ColumnElement[Any], text: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
        """Return where in *column* the *text* begins, from 1; 0 where it does not."""
        return sa.func.position(text.op("IN")(column))

    def plain_instant(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """
        Return *column*, an instant, as microseconds since 1970 in UTC, or as what the driver gives.

        A driver's own reading of it depends on the session's time zone, and fails where a datetime cannot hold it.
        """
        return sa.type_coerce(column, sa.String)

    def unix_seconds(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
        """Return the whole second since 1970 in which *column*, an instant, lies."""
        return sa.cast(sa.func.floor(sa.extract("epoch", column)), sa.BigInteger)

    def whole_division(self, dividend: str, divisor: str) -> str:
        """Return the SQL of the whole part of a quotient of whole numbers, neither of them negative."""
        return f"({dividend} / {divisor})"

    def percentiles(self, column: sa.ColumnElement[Any], fractions: Sequence[float]) -> sa.ColumnElement[Any] | None:
        """
        Return the values of *column* at *fractions*, by nearest rank, as a list; None where there is no such aggregate.

        The value at a fraction is the first in order with at least that fraction of all values at or before it.
        """
        return None

    def json_equals(self, path: JsonPath, value: JsonPart) -> str:
        """Return the SQL that says whether a member of a document has this value, of the same JSON type."""
        return f"{_UNKNOWN_FUNCTION}({path.document}, {value.sql})"

    def json_is_null(self, path: JsonPath) -> str:
        """Return the SQL that says whether a member of a document is null or not there."""
        return f"{_UNKNOWN_FUNCTION}({path.document})"

    def json_text(self, path: JsonPath, dialect: sa.Dialect) -> str:
        """Return the SQL of a member of a document as text; NULL where it is null or not there."""
        return f"{_UNKNOWN_FUNCTION}({path.document})"

    def was_changed(self, connection: sa.Connection) -> bool:
        """Whether *connection* reads without locks, and what it read may be out of date or torn by now."""
        return False

    def refuse_unfit(self, connection: sa.Connection) -> None:
        """Raise ConfigurationError if the database cannot hold every text, whatever is set on a connection."""

    # -- errors ------------------------------------------------------------------------------------

    def read_error(self, error: BaseException) -> Verdict | None:
        """Return what a driver's *error* means; None if it is not one of this database's."""
        return None

    def error_text(self, error: BaseException) -> str | None:
        """Return what a driver's *error* says, without a value; None if it is not one of this database's."""
        return None

    def go_by_keys(self, connection: sa.Connection) -> None:
        """Have the rest of the transaction look rows up by indexes, whatever is known of the tables."""

    # -- space -------------------------------------------------------------------------------------

    def give_back_space(self, url: URL) -> None:
        """Give the space of deleted rows back to the disk, and leave nothing of them in the file of *url*."""
        raise NotImplementedError

    # -- a database that is missing ----------------------------------------------------------------

    def says_database_is_missing(self, url: URL, error: DBAPIError) -> bool:
        """Whether *error*, met on connecting, says that there is no such database."""
        return False

    def create_database(self, url: URL) -> Literal["created", "there"]:
        """Create the database of *url*, whose driver is a synchronous one."""
        raise NotImplementedError

    # -- column types ------------------------------------------------------------------------------

    def identifier(self) -> TypeEngine[Any]:
        """Return the type of a UUID."""
        return sa.CHAR(36)

    def instant(self) -> TypeEngine[Any]:
        """Return the type of an instant with microseconds."""
        return sa.DateTime()

    def json(self) -> TypeEngine[Any]:
        """Return the type of a JSON document."""
        return sa.JSON(none_as_null=True)

    def text(self, dialect: sa.Dialect, length: int | None) -> TypeEngine[Any]:
        """Return the type of a text that compares code point by code point, of any length where *length* is None."""
        return sa.Text() if length is None else sa.String(length)

    def by_code_point(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Return *column*, a text, such that it sorts code point by code point whatever the database's collation."""
        return column


def swap_attributes(target: Any, wanted: Mapping[str, Any]) -> Callable[[], None]:
    """Set those attributes of *target* that are otherwise than *wanted*; return what sets them back."""
    found = {name: getattr(target, name) for name in wanted}
    changed = [name for name, value in found.items() if value is not wanted[name]]
    for name in changed:
        setattr(target, name, wanted[name])

    def put_back() -> None:
        for name in changed:
            setattr(target, name, found[name])

    return put_back
