"""
A provider's stream, handed through chunk by chunk while what it says is gathered.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar

from aicore_sqllog.responses.gather import StreamReader

__all__ = ["AsyncStream", "Stream", "watch_stream"]

C = TypeVar("C")
State = Literal["new", "open", "ended", "failed", "closed"]


class _Watched:
    """What the two kinds of stream have in common: the chunks so far, and what became of the stream."""

    def __init__(self, source: Any, on_content: Callable[[], None]) -> None:
        self._source = source
        self._iterator: Any = None
        self._on_content = on_content
        self._chunks = StreamReader()
        self._has_content = False
        self._fault: str | None = None
        self.state: State = "new"
        self.error: BaseException | None = None
        self.on_end: Callable[[_Watched], None] = lambda stream: None
        """Called when the stream has ended, failed or been closed."""

    def __getattr__(self, name: str) -> Any:
        """Return what the SDK's own stream has beside its chunks."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._source, name)

    def __del__(self) -> None:
        if self.__dict__.get("state") in ("new", "open"):
            self._end("closed")

    def result(self) -> dict[str, Any]:
        """Return the fields that the chunks told; of a stream that did not come to its end, that too."""
        try:
            found: dict[str, Any] = dict(self._chunks.result())
        except Exception as exc:
            found, self._fault = {}, type(exc).__name__
        notes: dict[str, object] = {"chunks": self._chunks.count, "state": self.state}
        if self.state in ("new", "open", "closed"):
            notes["state"] = "abandoned"
            found["finish_reason"] = found.get("finish_reason") or "abandoned"
        if self._fault is not None:
            notes["fault"] = f"{self._fault} while reading the chunks"
        found["extras"] = {**(found.get("extras") or {}), "stream": notes}
        return found

    def _take(self, chunk: object) -> None:
        self.state = "open"
        if self._fault is not None:
            return
        try:
            self._chunks.add(chunk)
            if not self._has_content and self._chunks.has_content:
                self._has_content = True
                self._on_content()
        except Exception as exc:
            self._fault = type(exc).__name__

    def _end(self, state: State, error: BaseException | None = None) -> None:
        if self.state in ("new", "open"):
            self.state, self.error = state, error
            self.on_end(self)


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
            self._end("ended")
            raise
        except BaseException as exc:
            self._end("failed", exc)
            raise
        self._take(chunk)
        return chunk

    def __enter__(self) -> Self:
        if hasattr(type(self._source), "__enter__"):
            self._source = self._source.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if hasattr(type(self._source), "__exit__"):
                self._source.__exit__(kind, exc, trace)
        finally:
            self._end("closed")

    def close(self) -> None:
        """Close the source, if it can be, and count the stream as left."""
        try:
            for held in (self._iterator, self._source):
                if hasattr(held, "close"):
                    held.close()
                    break
        finally:
            self._end("closed")


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
            self._end("ended")
            raise
        except BaseException as exc:
            self._end("failed", exc)
            raise
        self._take(chunk)
        return chunk

    async def __aenter__(self) -> Self:
        if hasattr(type(self._source), "__aenter__"):
            self._source = await self._source.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if hasattr(type(self._source), "__aexit__"):
                await self._source.__aexit__(kind, exc, trace)
        finally:
            self._end("closed")

    async def aclose(self) -> None:
        """Close the source, if it can be, and count the stream as left."""
        try:
            for held in (self._iterator, self._source):
                close = getattr(held, "aclose", None) or getattr(held, "close", None)
                if close is not None:
                    await close()
                    break
        finally:
            self._end("closed")

    close = aclose


class DualStream(Stream[C], AsyncStream[C]):  # type: ignore[misc]  # its close() is the synchronous one
    """For a source that can be read either way, as its reader chooses."""


def watch_stream(source: Any, on_content: Callable[[], None]) -> Any:
    """Return the iterator *source*, or the asynchronous one, with its chunks watched."""
    kind = type(source)
    is_async = hasattr(kind, "__aiter__") or hasattr(kind, "__aenter__")
    is_sync = hasattr(kind, "__iter__") or hasattr(kind, "__enter__") or not is_async
    watched = DualStream if is_async and is_sync else AsyncStream if is_async else Stream
    return watched(source, on_content)
