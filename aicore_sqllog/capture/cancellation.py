"""
Whether an exception says that somebody wants no answer any more, and not that something failed.
"""

import sys

__all__ = ["is_cancellation"]

_CANCELLATIONS = (
    ("asyncio.exceptions", "CancelledError"),
    ("concurrent.futures", "CancelledError"),
    ("trio", "Cancelled"),
    ("greenlet", "GreenletExit"),
    ("starlette.requests", "ClientDisconnect"),
)
"""Where their classes are; a library that is not loaded has raised none."""


def is_cancellation(error: BaseException | None) -> bool:
    """Whether *error* is a cancellation: of a task, a generator or a request; or a group of nothing else."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_cancellation, error.exceptions))
    return isinstance(error, GeneratorExit) or any(
        isinstance(error, kind)
        for module, name in _CANCELLATIONS
        if isinstance(kind := getattr(sys.modules.get(module), name, None), type)
    )
