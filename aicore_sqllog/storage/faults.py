"""
What a database's error means, and what a person can do about it; told without parameters, which are people's prompts.
"""

import codecs
import socket
from typing import TypeVar

from sqlalchemy import exc as sa_exc
from sqlalchemy.exc import DBAPIError, SQLAlchemyError, StatementError

from aicore_sqllog.errors import SQLLogError
from aicore_sqllog.storage.dialects.lookup import KNOWN
from aicore_sqllog.storage.kinds import CHARACTER_SET, NO_FOLDER, UNREACHABLE, Fault, Kind

__all__ = ["Fault", "Kind", "diagnose", "summarize", "without_values"]

E = TypeVar("E", bound=BaseException)

_MAX_LENGTH = 300


def summarize(exc: BaseException) -> str:
    """Return the kind and the first line of what the driver said; of a statement's error never the statement."""
    cause: BaseException | None = exc
    if isinstance(exc, DBAPIError | StatementError):
        cause = exc.orig
    if cause is None:
        return type(exc).__name__
    if isinstance(cause, SQLLogError):
        return str(cause)
    texts = (dialect.error_text(cause) for dialect in KNOWN)
    text = _first_line(next((text for text in texts if text is not None), str(cause)))
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


def diagnose(exc: BaseException) -> Fault:
    """Return what *exc*, met on writing a batch, means."""
    summary = summarize(exc)
    if isinstance(exc, SQLLogError):
        return Fault(Kind.MISCONFIGURED, summary)
    if isinstance(exc, DBAPIError):
        verdicts = (dialect.read_error(exc.orig) for dialect in KNOWN) if exc.orig is not None else ()
        for verdict in verdicts:
            if verdict is not None:
                return Fault(verdict.kind, summary, verdict.remedy)
        if isinstance(exc, sa_exc.IntegrityError | sa_exc.DataError):
            return Fault(Kind.POISON, summary)
        return Fault(Kind.TRANSIENT, summary)
    if _is_encoded_otherwise(exc):
        return Fault(CHARACTER_SET.kind, summary, CHARACTER_SET.remedy)
    if isinstance(exc, StatementError | ValueError | TypeError | ArithmeticError):
        # Raised by Python while it bound a value: no attempt will bind it.
        return Fault(Kind.POISON, summary)
    if isinstance(exc, FileNotFoundError | PermissionError | NotADirectoryError | IsADirectoryError):
        return Fault(NO_FOLDER.kind, summary, NO_FOLDER.remedy)
    if isinstance(exc, ConnectionRefusedError | socket.gaierror):
        return Fault(UNREACHABLE.kind, summary, UNREACHABLE.remedy)
    if isinstance(exc, SQLAlchemyError | OSError | TimeoutError | MemoryError):
        return Fault(Kind.TRANSIENT, summary)
    return Fault(Kind.UNEXPECTED, summary, "This is not expected: please report it.")


def _is_encoded_otherwise(exc: BaseException) -> bool:
    """Whether the connection's character set cannot hold a text, all of which UTF-8 can: no record's fault."""
    cause = exc.orig if isinstance(exc, StatementError) else exc
    return isinstance(cause, UnicodeEncodeError) and codecs.lookup(cause.encoding).name != "utf-8"
