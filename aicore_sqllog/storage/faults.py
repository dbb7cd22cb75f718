"""
What a database's error means, and what a person can do about it; told without parameters, which are people's prompts.
"""

import re
from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple, TypeVar

from sqlalchemy import exc as sa_exc
from sqlalchemy.exc import DBAPIError, SQLAlchemyError, StatementError

from aicore_sqllog.errors import SQLLogError

__all__ = ["Fault", "Kind", "diagnose", "summarize", "without_values"]

E = TypeVar("E", bound=BaseException)

_MAX_LENGTH = 300


class Kind(Enum):
    """What may help against a fault."""

    CONTENTION = "contention"
    """The next attempt: another writer held a lock, which is no news unless it goes on."""
    TRANSIENT = "transient"
    """Time: a server that is away."""
    MISCONFIGURED = "misconfigured"
    """A person: a password, a right, a schema."""
    OVERSIZE = "oversize"
    """Smaller statements."""
    POISON = "poison"
    """Nothing: a record in the batch can never be stored."""
    UNEXPECTED = "unexpected"
    """Not known: perhaps the next attempt, perhaps a record in the batch is what nobody thought of."""


class Fault(NamedTuple):
    """A fault, with its kind, what happened, and the remedy, empty where time is the only one."""

    kind: Kind
    summary: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.summary.rstrip('.')}. {self.remedy}".rstrip()


def summarize(exc: BaseException) -> str:
    """Return the kind and the first line of what the driver said; of a statement's error never the statement."""
    cause: BaseException | None = exc
    if isinstance(exc, DBAPIError | StatementError):
        cause = exc.orig
    if cause is None:
        return type(exc).__name__
    if isinstance(cause, SQLLogError):
        return str(cause)
    text = _first_line(str(cause.args[1] if _errno(cause) is not None else cause))
    if _errno(cause) in _QUOTE_VALUES:
        text = _QUOTED.sub("'…'", text)
    return f"{type(cause).__name__}: {text}" if text else type(cause).__name__


def without_values(exc: E) -> E:
    """Return *exc* such that printing it shows no parameters, which a borrowed engine and psycopg2 would."""
    if isinstance(exc, StatementError):
        exc.hide_parameters = True
        for error in (exc, exc.orig):
            if isinstance(error, BaseException) and len(error.args) == 1 and isinstance(error.args[0], str):
                error.args = (_first_line(error.args[0]),)
    return exc


def _first_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[0][:_MAX_LENGTH] if lines else ""


_QUOTE_VALUES = (1062, 1064, 1292, 1366)
"""MySQL's errors that quote the value, or a piece of the statement with its values."""

_QUOTED = re.compile("'.*'", re.DOTALL)


def diagnose(exc: BaseException) -> Fault:
    """Return what *exc*, met on writing a batch, means."""
    summary = summarize(exc)
    if isinstance(exc, SQLLogError):
        return Fault(Kind.MISCONFIGURED, summary)
    if isinstance(exc, DBAPIError):
        for read in (_read_sqlite, _read_mysql, _read_postgresql):
            found = read(exc.orig)
            if found is not None:
                return Fault(found[0], summary, found[1])
        if isinstance(exc, sa_exc.IntegrityError | sa_exc.DataError):
            return Fault(Kind.POISON, summary)
        return Fault(Kind.TRANSIENT, summary)
    if isinstance(exc, StatementError | ValueError | TypeError | ArithmeticError):
        # Raised by Python while it bound a value: no attempt will bind it.
        return Fault(Kind.POISON, summary)
    if isinstance(exc, FileNotFoundError | PermissionError | NotADirectoryError | IsADirectoryError):
        return Fault(Kind.MISCONFIGURED, summary, _NO_FOLDER)
    if isinstance(exc, SQLAlchemyError | OSError | TimeoutError | MemoryError):
        return Fault(Kind.TRANSIENT, summary)
    return Fault(Kind.UNEXPECTED, summary, "This is not expected: please report it.")


_Reading = tuple[Kind, str] | None

_PASSWORD = "Check user and password in the connection."
_RIGHTS = "Grant the user the right to do this, or give another user in the connection."
_NO_DATABASE = "Create the database, or give a user who may."
_NO_TABLES = 'Run `aicore-sqllog upgrade`, or give SQLLogHandler migrate="auto".'
_READ_ONLY = "Give the connection of a database that can be written to."
_NO_FOLDER = "Check that the folder is there and can be written to."
_DISK_FULL = "Free space on the database's disk."

_SQLITE: Mapping[str, tuple[Kind, str]] = {
    "SQLITE_BUSY": (Kind.CONTENTION, ""),
    "SQLITE_LOCKED": (Kind.CONTENTION, ""),
    "SQLITE_READONLY": (Kind.MISCONFIGURED, _READ_ONLY),
    "SQLITE_CANTOPEN": (Kind.MISCONFIGURED, _NO_FOLDER),
    "SQLITE_PERM": (Kind.MISCONFIGURED, _RIGHTS),
    "SQLITE_AUTH": (Kind.MISCONFIGURED, _RIGHTS),
    "SQLITE_NOTADB": (Kind.MISCONFIGURED, "The file is no SQLite database: give another path."),
    "SQLITE_CORRUPT": (Kind.MISCONFIGURED, "The file is damaged: move it away, and restore it if you need it."),
    "SQLITE_FULL": (Kind.TRANSIENT, _DISK_FULL),
    "SQLITE_IOERR": (Kind.TRANSIENT, "The disk fails."),
    "SQLITE_TOOBIG": (Kind.OVERSIZE, ""),
    "SQLITE_CONSTRAINT": (Kind.POISON, ""),
    "SQLITE_MISMATCH": (Kind.POISON, ""),
    "SQLITE_RANGE": (Kind.POISON, ""),
    "SQLITE_ERROR": (Kind.MISCONFIGURED, _NO_TABLES),
}


def _read_sqlite(orig: BaseException | None) -> _Reading:
    name = getattr(orig, "sqlite_errorname", None)
    if name is None:
        module = type(orig).__module__
        # Values that the driver itself cannot bind have no code.
        return (Kind.POISON, "") if module == "sqlite3" and type(orig).__name__ != "OperationalError" else None
    primary = "_".join(str(name).split("_")[:2])
    return _SQLITE.get(primary, (Kind.TRANSIENT, ""))


_MYSQL: Mapping[int, tuple[Kind, str]] = {
    **dict.fromkeys((1020, 1205, 1213, 1684), (Kind.CONTENTION, "")),
    **dict.fromkeys((1044, 1142, 1143, 1227, 1370), (Kind.MISCONFIGURED, _RIGHTS)),
    **dict.fromkeys((1045, 1698, 1251), (Kind.MISCONFIGURED, _PASSWORD)),
    1049: (Kind.MISCONFIGURED, _NO_DATABASE),
    **dict.fromkeys((1054, 1146), (Kind.MISCONFIGURED, _NO_TABLES)),
    **dict.fromkeys((1290, 1792, 1836), (Kind.MISCONFIGURED, _READ_ONLY)),
    **dict.fromkeys((1021, 1114), (Kind.TRANSIENT, _DISK_FULL)),
    **dict.fromkeys((1153, 1301), (Kind.OVERSIZE, "")),
    **dict.fromkeys(
        (1048, 1062, 1264, 1265, 1292, 1364, 1366, 1406, 1451, 1452, 1526, 1644, 3140, 3819, 4025), (Kind.POISON, "")
    ),
}


def _read_mysql(orig: BaseException | None) -> _Reading:
    number = _errno(orig)
    return None if number is None else _MYSQL.get(number, (Kind.TRANSIENT, ""))


def _errno(orig: BaseException | None) -> int | None:
    """Return the error number that MySQL's drivers give as the first of two arguments."""
    arguments: tuple[object, ...] = getattr(orig, "args", ())
    if len(arguments) != 2 or isinstance(orig, OSError):
        return None
    number, text = arguments
    return number if isinstance(number, int) and isinstance(text, str) else None


_POSTGRESQL: Mapping[str, tuple[Kind, str]] = {
    "40": (Kind.CONTENTION, ""),
    "55P03": (Kind.CONTENTION, ""),
    "25006": (Kind.MISCONFIGURED, _READ_ONLY),
    "28": (Kind.MISCONFIGURED, _PASSWORD),
    "3D": (Kind.MISCONFIGURED, _NO_DATABASE),
    "3F": (Kind.MISCONFIGURED, _NO_TABLES),
    "42501": (Kind.MISCONFIGURED, _RIGHTS),
    "42": (Kind.MISCONFIGURED, _NO_TABLES),
    "53100": (Kind.TRANSIENT, _DISK_FULL),
    "54": (Kind.OVERSIZE, ""),
    "21": (Kind.POISON, ""),
    "22": (Kind.POISON, ""),
    "23": (Kind.POISON, ""),
    **dict.fromkeys(("27", "38", "39", "44", "P0"), (Kind.POISON, "")),  # a trigger's, a function's, a view's refusal
}
"""By SQLSTATE, or its first two characters."""

_LIBPQ_TEXTS = (
    ("password", (Kind.MISCONFIGURED, _PASSWORD)),
    ("role ", (Kind.MISCONFIGURED, _PASSWORD)),
    ("database ", (Kind.MISCONFIGURED, _NO_DATABASE)),
    ("pg_hba.conf", (Kind.MISCONFIGURED, _RIGHTS)),
)
"""On connecting libpq gives no code; what the server said follows ``FATAL:``."""


def _read_postgresql(orig: BaseException | None) -> _Reading:
    state = getattr(orig, "sqlstate", None) or getattr(orig, "pgcode", None)
    if isinstance(state, str):
        return _POSTGRESQL.get(state) or _POSTGRESQL.get(state[:2], (Kind.TRANSIENT, ""))
    said = str(orig).partition("FATAL:")[2]
    return next((reading for words, reading in _LIBPQ_TEXTS if words in said), None)
