"""
How a command ends: with which code, and with which line on stderr.
"""

import os
import sys
from collections.abc import Callable

__all__ = ["CANNOT", "DONE", "INTERRUPTED", "NOT_SO", "PIPE_CLOSED", "UsageError", "ended_by", "say"]

DONE = 0
NOT_SO = 1
"""A check that fails, or what was asked for by name is not there."""
CANNOT = 2
"""What was asked for cannot be done: wrong options, no log, a database that refuses."""
INTERRUPTED = 130
PIPE_CLOSED = 141
"""As of a program that SIGPIPE ends: who reads what we write has gone."""


class UsageError(Exception):
    """Options that cannot be used together, or a value that cannot be right; the message is for a person."""


def say(text: str) -> None:
    """Tell a person *text*, in a line of stderr."""
    print(f"aicore-sqllog: {' '.join(text.split())}", file=sys.stderr)


def ended_by(work: Callable[[], int]) -> int:
    """Return the exit code of *work*; whatever it raises becomes a line, and no traceback."""
    try:
        code = work()
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # What is still in the buffer is written at the end of the process, and would be told as an error then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except Exception as exc:  # whatever it is, a person is better served by a line than by a traceback
        say(_told(exc))
        return CANNOT


def _told(exc: Exception) -> str:
    if isinstance(exc, UsageError | ValueError | FileNotFoundError):
        return str(exc) or type(exc).__name__
    from aicore_sqllog.storage.faults import diagnose

    return str(diagnose(exc))
