"""
A database's error in a few words, without parameters: they are people's prompts.
"""

from sqlalchemy.exc import DBAPIError, StatementError

__all__ = ["summarize"]

_MAX_LENGTH = 300


def summarize(exc: BaseException) -> str:
    """Return the kind and the first line of what the driver said; of a statement's error never the statement."""
    cause: BaseException | None = exc
    if isinstance(exc, DBAPIError | StatementError):
        cause = exc.orig
    if cause is None:
        return type(exc).__name__
    lines = str(cause).strip().splitlines()
    text = lines[0][:_MAX_LENGTH] if lines else ""
    return f"{type(cause).__name__}: {text}" if text else type(cause).__name__
