"""The one place where tests look into a handler: for what no user can set."""

from typing import Any

from aicore_sqllog import SQLLogHandler

__all__ = ["set_limit"]


def set_limit(handler: SQLLogHandler, **limits: Any) -> None:
    """Set a limit that is no option, such as ``block_seconds`` or ``batch_bytes``; before the first record."""
    for name, value in limits.items():
        object.__setattr__(handler._service._options.limits, name, value)
