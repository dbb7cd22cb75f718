"""
What surrounds a call: the session and the operation that the code around it has opened.

Kept in a context variable, so that threads, tasks and executors with a copied context each see their own.
"""

import functools
import inspect
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from types import TracebackType
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

from aicore_sqllog.values.convert import to_consent
from aicore_sqllog.values.freeze import Frozen, describe, freeze
from aicore_sqllog.values.ids import mint

__all__ = [
    "Frame",
    "Surroundings",
    "as_text",
    "current_owner",
    "current_surroundings",
    "enter",
    "leave",
    "llm_session",
    "surrounded_by",
    "wrap",
]

P = ParamSpec("P")
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


class Frame:
    """One ``with`` that was entered: what holds inside, and the frame around it."""

    __slots__ = ("outer", "owner", "surroundings")

    def __init__(self, surroundings: Surroundings, owner: object, outer: "Frame | None") -> None:
        self.surroundings = surroundings
        self.owner = owner
        self.outer = outer


_CURRENT: ContextVar[Frame | None] = ContextVar("aicore_sqllog_frame", default=None)


def current_surroundings() -> Surroundings | None:
    """Return what surrounds the caller, or None."""
    frame = _CURRENT.get()
    return None if frame is None else frame.surroundings


def current_owner(kind: type[R]) -> R | None:
    """Return the innermost owner of a frame that is a *kind*, or None."""
    frame = _CURRENT.get()
    while frame is not None and not isinstance(frame.owner, kind):
        frame = frame.outer
    return None if frame is None else cast(R, frame.owner)


def enter(owner: object, **changes: Any) -> Frame:
    """Let *changes* hold from here on; return the frame."""
    outer = _CURRENT.get()
    surroundings = (_NOTHING if outer is None else outer.surroundings)._replace(**changes)
    frame = Frame(surroundings, owner, outer)
    _CURRENT.set(frame)
    return frame


def leave(frame: Frame) -> None:
    """
    End what :func:`enter` began.

    In another context, where a generator may be closed, there is nothing to end; so no token is kept.
    """
    found = _CURRENT.get()
    while found is not None and found is not frame:
        found = found.outer
    if found is not None:
        _CURRENT.set(frame.outer)


def surrounded_by(frame: Frame | None, act: Callable[[], None]) -> None:
    """Call *act* as if its caller stood in *frame*."""
    token = _CURRENT.set(frame)
    try:
        act()
    finally:
        _CURRENT.reset(token)


_NOTHING = Surroundings()


class llm_session:  # noqa: N801  # a context manager, named like those of contextlib
    """
    A session for every LLM record that is logged inside: ``with``, ``async with``, or a decorator.

    Inside another session, what is left out stays as it is there. A record's own fields win over
    these, and these over the handler's.

    Args:
        session_id: A UUID or any text. Left out: that of the surrounding session, else a new one.

        workspace, agent_id, user_id: Whose calls these are.

        metadata: Anything; kept with the session.

        capture_content: ``False``: of the calls inside no text is stored. Nothing inside can turn it on again.

    Example:
        >>> with llm_session("chat-42", user_id="u-7") as session_id:
        ...     log.info("answered", extra={"provider": "openai", "model": "gpt-4o-mini"})
    """

    def __init__(
        self,
        session_id: object = None,
        *,
        workspace: str | None = None,
        agent_id: str | None = None,
        user_id: str | None = None,
        metadata: object = None,
        capture_content: bool | None = None,
    ) -> None:
        given = {"workspace": workspace, "agent_id": agent_id, "user_id": user_id}
        self._changes: dict[str, Any] = {name: as_text(value) for name, value in given.items() if value is not None}
        self._session_id = None if session_id is None else as_text(session_id)
        if metadata is not None:
            self._changes["metadata"] = freeze((metadata,))[0]
        if not to_consent(capture_content):
            self._changes["captures_content"] = False

    def __enter__(self) -> str:
        """Begin; return the session's id, as it was given."""
        outer = current_surroundings()
        session_id = self._session_id or (outer and outer.session_id) or mint()
        changes = self._changes
        if self._session_id is not None and "metadata" not in changes:
            changes = {**changes, "metadata": None}  # the metadata around is another session's
        enter(self, **changes, session_id=session_id)
        return session_id

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        frame = _CURRENT.get()
        while frame is not None and frame.owner is not self:
            frame = frame.outer
        if frame is not None:
            leave(frame)

    async def __aenter__(self) -> str:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, exc, trace)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return *function*, a function or a coroutine function, with each call in this session."""
        return wrap(function, lambda: self)


def wrap(
    function: Callable[P, R],
    scope: Callable[[], Any],
    on_return: Callable[[Any, object], None] = lambda held, value: None,
) -> Callable[P, R]:
    """Return *function*, a function or a coroutine function, with each of its calls inside a fresh *scope*."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{function.__qualname__} is a generator: it runs after its call. Use `with` inside it.")
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def call_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            with scope() as held:
                value = await cast("Awaitable[Any]", function(*args, **kwargs))
                on_return(held, value)
                return value

        return cast("Callable[P, R]", call_async)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with scope() as held:
            value = function(*args, **kwargs)
            on_return(held, value)
            return value

    return call


def as_text(value: object) -> str:
    """Return *value* as text, whatever it is."""
    if isinstance(value, str):
        return str.__str__(value)
    try:
        return str(value)
    except Exception:
        return describe(value)
