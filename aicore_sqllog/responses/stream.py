"""
A provider's stream, handed through chunk by chunk while what it says is gathered.
"""

import inspect
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from aicore_sqllog.responses.raw_response import watch_raw_response
from aicore_sqllog.responses.tap import tap
from aicore_sqllog.responses.watch import Watch

__all__ = ["AsyncStream", "Stream", "watch_returned", "watch_stream"]

C = TypeVar("C")
Kind = type[BaseException] | None


class _Watched:
    """What the two kinds of stream have in common: the source, and the watch over it."""

    def __init__(self, source: Any, watch: Watch) -> None:
        self._source = source
        self._watch = watch
        self._iterator: Any = None
        self._manager: Any = None
        self._is_shared = False
        self._is_tapped = tap(source, watch)

    def __getattr__(self, name: str) -> Any:
        """Return what the SDK's own stream has beside its chunks."""
        if name.startswith("_"):
            raise AttributeError(name)
        value = getattr(self._source, name)
        if callable(value) or isinstance(value, Iterator | AsyncIterator):
            self._is_shared = True
            self._watch.read_past = None if self._is_tapped else self._source
        return value

    def __del__(self) -> None:
        # The tap may keep the watch alive, in a circle through the SDK's stream, and nobody reads on.
        if not self.__dict__.get("_is_shared", True):
            self._watch.end("closed")

    def close(self) -> Any:
        """Close the source as it can be closed, at once or by awaiting what is returned; the stream is left."""
        waiting = []
        try:
            for held in dict.fromkeys(held for held in (self._iterator, self._source) if held is not None):
                close = self._find_close(held)
                waiting.append(None if close is None else close())
        finally:
            self._watch.end("closed")
        return _Closing([each for each in waiting if inspect.isawaitable(each)])

    def _find_close(self, held: Any) -> Callable[[], Any] | None:
        return getattr(held, "close", None)

    def _entered(self, manager: Any, source: Any) -> None:
        self._manager, self._source = manager, source
        self._is_tapped = self._is_tapped or tap(source, self._watch)

    def _take(self, chunk: object) -> None:
        if not self._is_tapped:
            self._watch.take(chunk)


class _Closing:
    """What closing returns: it may be awaited, and need not be where nothing is left to wait for."""

    def __init__(self, waiting: list[Any]) -> None:
        self._waiting = waiting

    def __await__(self) -> Generator[Any, None, None]:
        for each in self._waiting:
            yield from each.__await__()


class Stream(_Watched, Generic[C]):
    """An iterator that hands on what the source yields; also a context manager, as SDKs' streams are."""

    def __iter__(self) -> Iterator[C]:
        return self

    def __next__(self) -> C:
        try:
            if self._iterator is None:
                self._iterator = iter(self._source)
            chunk: C = next(self._iterator)
        except StopIteration:
            self._watch.end("ended")
            raise
        except BaseException as exc:
            self._watch.end("failed", exc)
            raise
        self._take(chunk)
        return chunk

    def __enter__(self) -> Self:
        if hasattr(type(self._source), "__enter__"):
            try:
                self._entered(self._source, self._source.__enter__())
            except BaseException as exc:
                self._watch.end("failed", exc)
                raise
        return self

    def __exit__(self, kind: Kind, exc: BaseException | None, trace: TracebackType | None) -> bool | None:
        try:
            return None if self._manager is None else self._manager.__exit__(kind, exc, trace)
        finally:
            self._watch.end("closed")


class AsyncStream(_Watched, Generic[C]):
    """The same for ``async for``."""

    def __aiter__(self) -> AsyncIterator[C]:
        return self

    async def __anext__(self) -> C:
        try:
            if self._iterator is None:
                self._iterator = aiter(self._source)
            chunk: C = await anext(self._iterator)
        except StopAsyncIteration:
            self._watch.end("ended")
            raise
        except BaseException as exc:
            self._watch.end("failed", exc)
            raise
        self._take(chunk)
        return chunk

    async def __aenter__(self) -> Self:
        if hasattr(type(self._source), "__aenter__"):
            try:
                self._entered(self._source, await self._source.__aenter__())
            except BaseException as exc:
                self._watch.end("failed", exc)
                raise
        return self

    async def __aexit__(self, kind: Kind, exc: BaseException | None, trace: TracebackType | None) -> bool | None:
        try:
            return None if self._manager is None else await self._manager.__aexit__(kind, exc, trace)
        finally:
            self._watch.end("closed")

    async def aclose(self) -> None:
        """Close the source, if it can be; the stream is left."""
        await self.close()

    def _find_close(self, held: Any) -> Callable[[], Any] | None:
        return getattr(held, "aclose", None) or getattr(held, "close", None)


class DualStream(Stream[C], AsyncStream[C]):
    """For a source that can be read either way, as its reader chooses."""

    def _find_close(self, held: Any) -> Callable[[], Any] | None:
        return getattr(held, "close", None) or getattr(held, "aclose", None)


def watch_stream(source: Any, watch: Watch) -> Any:
    """Return the iterator *source*, or the asynchronous one, with its chunks watched."""
    kind = type(source)
    is_async = hasattr(kind, "__aiter__") or hasattr(kind, "__aenter__")
    is_sync = hasattr(kind, "__iter__") or hasattr(kind, "__enter__") or not is_async
    watched = DualStream if is_async and is_sync else AsyncStream if is_async else Stream
    return watched(source, watch)


def watch_returned(value: Any, watch: Watch) -> Any:
    """
    Return the stream that a function has returned, watched; None where *value* is none.

    An SDK's stays the object that it is. Files, cursors and their like are iterators, but no streams of an answer.
    """
    if isinstance(value, _Watched):
        return None
    if tap(value, watch) or watch_raw_response(value, watch):
        return value
    if not isinstance(value, Iterator | AsyncIterator) or any(hasattr(type(value), name) for name in _NO_STREAM):
        return None
    return watch_stream(value, watch)


_NO_STREAM = ("read", "seek", "fetchone", "__len__", "__getitem__")
