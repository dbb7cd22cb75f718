"""
An exception as text: what is kept of it, and what can be read of its traceback.
"""

import re
import traceback
from typing import NamedTuple

from aicore_sqllog.values.freeze import describe

__all__ = ["Failure", "describe_exception", "read_traceback"]

_TYPE = re.compile(r"[\w.<>]+")


class Failure(NamedTuple):
    """An exception, as text: the application's objects are not kept alive in a queue."""

    error_type: str
    error_message: str
    traceback: str


def describe_exception(exception: BaseException) -> Failure:
    """Return type, text and traceback of *exception*; never raises."""
    kind = type(exception)
    prefix = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    try:
        text = str(exception)
    except Exception:
        text = describe(exception)
    try:
        trace = "".join(traceback.format_exception(exception))
    except Exception as exc:
        trace = f"<the traceback could not be formatted: {type(exc).__qualname__}>"
    return Failure(prefix + kind.__qualname__, text, trace)


def read_traceback(text: str) -> Failure:
    """Return what the text of a traceback tells: after its last frame stand the exception's type and text."""
    last = text.rpartition("Traceback (most recent call last):\n")[2]
    lines = last.splitlines()
    at = next((at for at, line in enumerate(lines) if line and not line[0].isspace()), len(lines))
    kind, _, said = "\n".join(lines[at:]).partition(": ")
    return Failure(kind, said, text) if _TYPE.fullmatch(kind) else Failure("", "", text)
