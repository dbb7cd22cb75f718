"""
What surrounds a call: the session and the operation that the code around it has opened.

Kept in a context variable, so that threads, tasks and executors with a copied context each see their own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeVar

from aicore_sqllog.values.freeze import Frozen, describe

__all__ = [
    "Scope",
    "Scopes",
    "Surroundings",
    "SuspendedScope",
    "as_text",
    "current_owner",
    "current_scopes",
    "current_surroundings",
    "enter",
    "inside",
    "leave",
    "scope_of",
]

R = TypeVar("R")


class Surroundings(NamedTuple):
    """What a record gets from the code around its log call; plain values, which can no longer change."""

    session_id: str | None = None
    workspace: str | None = None
    agent_id: str | None = None
    user_id: str | None = None
    metadata: Frozen | None = None
    captures_content: bool = True
    operation_id: str | None = None
    operation_run_id: str | None = None
    """What tells the operation from others that were given the same id."""


class Scope:
    """One ``with`` that was entered: what holds inside, and the scopes around it."""

    __slots__ = ("outer", "owner", "surroundings")

    def __init__(self, surroundings: Surroundings, owner: object, outer: "Scopes") -> None:
        self.surroundings = surroundings
        self.owner = owner
        self.outer = outer


Scopes = tuple[Scope, ...]
"""The scopes around a piece of code, the innermost last."""

_CURRENT: ContextVar[Scopes] = ContextVar("aicore_sqllog_scopes", default=())
_NOTHING = Surroundings()


def current_surroundings() -> Surroundings | None:
    """Return what surrounds the caller, or None."""
    scopes = _CURRENT.get()
    return scopes[-1].surroundings if scopes else None


def current_scopes() -> Scopes:
    """Return the scopes around the caller."""
    return _CURRENT.get()


def current_owner(kind: type[R]) -> R | None:
    """Return the innermost owner of a scope that is a *kind*, or None."""
    return next((scope.owner for scope in reversed(_CURRENT.get()) if isinstance(scope.owner, kind)), None)


def scope_of(owner: object) -> Scope | None:
    """Return the innermost scope of *owner*, or None."""
    return next((scope for scope in reversed(_CURRENT.get()) if scope.owner is owner), None)


def enter(owner: object, **changes: Any) -> Scope:
    """Let *changes* hold from here on; return the scope."""
    outer = _CURRENT.get()
    surroundings = (outer[-1].surroundings if outer else _NOTHING)._replace(**changes)
    scope = Scope(surroundings, owner, outer)
    _CURRENT.set((*outer, scope))
    return scope


def leave(scope: Scope) -> None:
    """
    End what :func:`enter` began.

    Scopes that were entered since stay: a generator may be closed while others are open around its
    caller. In another context, where it may be closed too, there is nothing to end; so no token is kept.
    """
    scopes = _CURRENT.get()
    if scope in scopes:
        _CURRENT.set(tuple(other for other in scopes if other is not scope))


@contextmanager
def inside(scopes: Scopes) -> Iterator[None]:
    """Let the block run as if it stood in *scopes*."""
    before = _CURRENT.get()
    _CURRENT.set(scopes)
    try:
        yield
    finally:
        _CURRENT.set(before)


class SuspendedScope:
    """A scope whose code runs in pieces, each perhaps in another context: an awaitable's, or a generator's."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._scopes: Scopes = (*scope.outer, scope)

    @contextmanager
    def resumed(self) -> Iterator[None]:
        """Let the block run in the scope, and in those that earlier pieces have entered and not left."""
        before = _CURRENT.get()
        _CURRENT.set(self._scopes)
        try:
            yield
        finally:
            now = _CURRENT.get()
            if self._scope in now:  # it is not, where the collector closes a piece that was cut off
                self._scopes = now
                _CURRENT.set(before)


def as_text(value: object) -> str:
    """Return *value* as text, whatever it is."""
    if isinstance(value, str):
        return str.__str__(value)
    try:
        return str(value)
    except Exception:
        return describe(value)
