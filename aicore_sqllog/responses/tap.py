"""
An SDK's own stream, heard from the inside.
"""

import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

from aicore_sqllog.responses.watch import Watch

__all__ = ["tap"]


def tap(source: Any, watch: Watch) -> bool:
    """
    Let *watch* hear each chunk that an SDK's stream reads itself; return whether it can.

    The helpers of the openai and anthropic SDKs and of their like, such as ``text_stream`` and
    ``get_final_message()``, read the stream's inner iterator, so whoever stands outside sees nothing.
    """
    if not hasattr(type(source), "__stream__"):
        return False
    iterator = getattr(source, "_iterator", None)
    reading = _Reading()
    if isinstance(iterator, Iterator):
        source._iterator = _tapped(iterator, watch, reading)
    elif isinstance(iterator, AsyncIterator):
        source._iterator = _tapped_async(iterator, watch, reading)
    else:
        return False
    _hear_closing(getattr(source, "response", None), watch, reading)
    return True


class _Reading:
    """Whether the stream is being read at this moment: what the SDK closes then has come to its end."""

    goes_on = False


def _tapped(iterator: Iterator[Any], watch: Watch, reading: _Reading) -> Iterator[Any]:
    try:
        reading.goes_on = True
        for chunk in iterator:
            reading.goes_on = False
            watch.take(chunk)
            yield chunk
            reading.goes_on = True
    except GeneratorExit:
        watch.end("closed")
        raise
    except BaseException as exc:
        watch.end("failed", exc)
        raise
    watch.end("ended")


async def _tapped_async(iterator: AsyncIterator[Any], watch: Watch, reading: _Reading) -> AsyncIterator[Any]:
    try:
        reading.goes_on = True
        async for chunk in iterator:
            reading.goes_on = False
            watch.take(chunk)
            yield chunk
            reading.goes_on = True
    except GeneratorExit:
        watch.end("closed")
        raise
    except BaseException as exc:
        watch.end("failed", exc)
        raise
    watch.end("ended")


def _hear_closing(over_http: Any, watch: Watch, reading: _Reading) -> None:
    """
    Let *watch* hear that the HTTP response is closed: so do all of an SDK's helpers, each by a way of its own.

    Nothing here keeps the response or the watch alive: a stream that is dropped is to be found at once.
    """
    try:
        response, listener = weakref.ref(over_http), weakref.ref(watch)
    except TypeError:
        return

    def heard() -> Any:
        watch = listener()
        if watch is not None and not reading.goes_on:
            watch.end("closed")
        return response()

    kind = type(over_http)
    if hasattr(kind, "close"):

        def close() -> None:
            if (held := heard()) is not None:
                kind.close(held)

        over_http.close = close
    if hasattr(kind, "aclose"):

        async def aclose() -> None:
            if (held := heard()) is not None:
                await kind.aclose(held)

        over_http.aclose = aclose
