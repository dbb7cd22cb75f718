"""
An SDK's own stream, heard from the inside.
"""

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
    if isinstance(iterator, Iterator):
        source._iterator = _tapped(iterator, watch)
    elif isinstance(iterator, AsyncIterator):
        source._iterator = _tapped_async(iterator, watch)
    else:
        return False
    return True


def _tapped(iterator: Iterator[Any], watch: Watch) -> Iterator[Any]:
    try:
        for chunk in iterator:
            watch.take(chunk)
            yield chunk
    except GeneratorExit:
        watch.end("closed")
        raise
    except BaseException as exc:
        watch.end("failed", exc)
        raise
    watch.end("ended")


async def _tapped_async(iterator: AsyncIterator[Any], watch: Watch) -> AsyncIterator[Any]:
    try:
        async for chunk in iterator:
            watch.take(chunk)
            yield chunk
    except GeneratorExit:
        watch.end("closed")
        raise
    except BaseException as exc:
        watch.end("failed", exc)
        raise
    watch.end("ended")
