"""
A function whose calls are scopes: plain, asynchronous, or a generator of either kind.

The code of all but a plain function runs after its call, in pieces, and perhaps in another context.
The scope is suspended between the pieces.
"""

import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from aicore_sqllog.capture.context import Scope, SuspendedScope, leave

__all__ = ["Call", "wrap"]

P = ParamSpec("P")
R = TypeVar("R")


class Call(Protocol):
    """One call of a decorated function, from its begin to its end."""

    scope: Scope

    def take(self, chunk: object) -> None:
        """Hear what a generator has yielded."""

    def give(self, value: Any) -> Any:
        """Hear what the function has returned, and return what the caller gets."""

    def end(self, error: BaseException | None) -> None:
        """End the call."""


def wrap(function: Callable[P, R], begin: Callable[[], Call]) -> Callable[P, R]:
    """Return *function* with each of its calls between *begin* and the end of what it returned."""
    kinds: tuple[tuple[Callable[[object], bool], Callable[..., Any]], ...] = (
        (inspect.isasyncgenfunction, _wrap_async_generator),
        (inspect.isgeneratorfunction, _wrap_generator),
        (inspect.iscoroutinefunction, _wrap_coroutine),
    )
    wrapper = next((wrapper for is_kind, wrapper in kinds if is_kind(function)), _wrap_plain)
    return cast("Callable[P, R]", functools.wraps(function)(wrapper(function, begin)))


def _wrap_plain(function: Callable[..., Any], begin: Callable[[], Call]) -> Callable[..., Any]:
    def call_plain(*args: Any, **kwargs: Any) -> Any:
        call = begin()
        try:
            value = function(*args, **kwargs)
        except BaseException as exc:
            call.end(exc)
            raise
        if _is_awaitable(value):  # as of an SDK's asynchronous method, which is a plain function
            suspended = SuspendedScope(call.scope)
            leave(call.scope)
            return _finish_awaiting(call, suspended, value)
        if callable(getattr(type(value), "add_done_callback", None)):  # a future: ended when it is done
            leave(call.scope)
            value.add_done_callback(functools.partial(_finish_future, call))
            return value
        return _finish(call, value)

    return call_plain


def _wrap_coroutine(function: Callable[..., Any], begin: Callable[[], Call]) -> Callable[..., Any]:
    async def call_coroutine(*args: Any, **kwargs: Any) -> Any:
        call = begin()
        try:
            value = await function(*args, **kwargs)
        except BaseException as exc:
            call.end(exc)
            raise
        return _finish(call, value)

    return call_coroutine


def _wrap_generator(function: Callable[..., Any], begin: Callable[[], Call]) -> Callable[..., Any]:
    def call_generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        call = begin()
        suspended = SuspendedScope(call.scope)
        leave(call.scope)
        try:
            returned = yield from _Pieces(function(*args, **kwargs), suspended, call)
        except BaseException as exc:
            call.end(exc)
            raise
        call.end(None)
        return returned

    return call_generator


class _Pieces(Generator[Any, Any, Any]):
    """A generator each of whose pieces runs in the scope."""

    def __init__(self, source: Generator[Any, Any, Any], suspended: SuspendedScope, call: Call) -> None:
        self._source = source
        self._suspended = suspended
        self._call = call

    def send(self, value: Any) -> Any:
        return self._step(self._source.send, value)

    def throw(self, *raised: Any) -> Any:
        return self._step(self._source.throw, *raised)

    def _step(self, step: Callable[..., Any], *args: Any) -> Any:
        with self._suspended.resumed():
            chunk = step(*args)
        self._call.take(chunk)
        return chunk


def _wrap_async_generator(function: Callable[..., Any], begin: Callable[[], Call]) -> Callable[..., Any]:
    async def call_async_generator(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        call = begin()
        suspended = SuspendedScope(call.scope)
        leave(call.scope)
        source: AsyncGenerator[Any, Any] = function(*args, **kwargs)
        step = source.asend(None)
        try:
            while True:
                try:
                    with suspended.resumed():
                        chunk = await step
                except StopAsyncIteration:
                    break
                call.take(chunk)
                try:
                    step = source.asend((yield chunk))
                except GeneratorExit:
                    with suspended.resumed():
                        await source.aclose()
                    raise
                except BaseException as exc:  # thrown in by the caller
                    step = source.athrow(exc)
        except BaseException as exc:
            call.end(exc)
            raise
        call.end(None)

    return call_async_generator


async def _finish_awaiting(call: Call, suspended: SuspendedScope, value: Awaitable[Any]) -> Any:
    try:
        with suspended.resumed():
            returned = await value
    except BaseException as exc:
        call.end(exc)
        raise
    return _finish(call, returned)


def _finish_future(call: Call, future: Any) -> None:
    try:
        value = future.result()
    except BaseException as exc:
        call.end(exc)
    else:
        _finish(call, value)


def _finish(call: Call, value: Any) -> Any:
    given = call.give(value)
    call.end(None)
    return given


def _is_awaitable(value: object) -> bool:
    """Whether *value* is only to be awaited; one that can be entered or iterated too must stay what it is."""
    kind = type(value)
    others = ("__aenter__", "__aiter__", "__enter__", "__iter__", "add_done_callback")
    return inspect.isawaitable(value) and not any(hasattr(kind, name) for name in others)
