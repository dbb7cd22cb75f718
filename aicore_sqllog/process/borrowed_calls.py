"""
Functions of the application's that our thread calls: kept by the handler, and lent to what the thread holds.

A thread keeps what it holds alive. A function often holds the object whose method it is, and that the handler:
through the thread neither would ever go. The handler lives as long as a record waits, so the function is there when
it is needed.
"""

import weakref
from collections.abc import Callable
from types import FunctionType
from typing import Any

__all__ = ["BorrowedCalls"]


class BorrowedCalls:
    """The functions that one handler keeps."""

    def __init__(self) -> None:
        self._kept: list[_Kept] = []

    def lend(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return what calls *call*, or raises ``ReferenceError`` once it has gone; *call* if it holds nothing."""
        if isinstance(call, FunctionType) and not (call.__closure__ or call.__defaults__ or call.__kwdefaults__):
            return call
        kept = _Kept(call)
        self._kept.append(kept)
        found = weakref.ref(kept)

        def forward(*arguments: Any) -> Any:
            living = found()
            if living is None:
                raise ReferenceError("the handler whose function this was has gone")
            return living.call(*arguments)

        return forward


class _Kept:
    """One function, which may itself be of a kind that takes no weak references."""

    __slots__ = ("__weakref__", "call")

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call
