"""
llm_session: whose calls these are, for all that is logged inside.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from aicore_sqllog.capture.context import as_text, current_surroundings, enter, leave, scope_of
from aicore_sqllog.capture.wrapping import wrap
from aicore_sqllog.values.convert import to_consent
from aicore_sqllog.values.freeze import freeze
from aicore_sqllog.values.ids import mint

__all__ = ["llm_session"]

P = ParamSpec("P")
R = TypeVar("R")


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
        scope = scope_of(self)
        if scope is not None:
            leave(scope)

    async def __aenter__(self) -> str:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, exc, trace)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return *function*, which may be asynchronous or a generator, with each call in this session."""
        return wrap(function, lambda: _SessionCall(self))


class _SessionCall:
    """One call of a decorated function."""

    def __init__(self, session: llm_session) -> None:
        session.__enter__()
        scope = scope_of(session)
        assert scope is not None
        self.scope = scope

    def take(self, chunk: object) -> None:
        """A session keeps no answers."""

    def give(self, value: R) -> R:
        """Return what the function returned."""
        return value

    def end(self, error: BaseException | None) -> None:
        """Leave the session."""
        leave(self.scope)
