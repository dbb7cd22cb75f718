"""
An SDK's response that is still to be read: what its reader makes of it is heard.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from aicore_sqllog.responses.sdk_exceptions import body_of_http
from aicore_sqllog.responses.tap import tap
from aicore_sqllog.responses.watch import Watch

__all__ = ["watch_raw_response"]


def watch_raw_response(response: Any, watch: Watch) -> bool:
    """
    Let *watch* hear what is read of an SDK's ``with_streaming_response`` or raw stream; return whether it is one.

    It stays the object that it is. What ``parse()`` returns is heard, be it an answer or a stream, and a body that
    was read as a whole; one that is read in lines or bytes only ends.
    """
    over_http = getattr(response, "http_response", None)
    if over_http is None or not hasattr(type(response), "parse") or hasattr(over_http, "_content"):
        return False
    hearing = _Hearing(over_http, watch)
    response.parse = _followed(response.parse, hearing.take)
    if hasattr(response, "close"):
        response.close = _followed(response.close, hearing.end)
    return True


class _Hearing:
    def __init__(self, over_http: Any, watch: Watch) -> None:
        self._over_http = over_http
        self._watch = watch
        self._is_parsed = False

    def take(self, parsed: object) -> None:
        """Hear what the response was parsed into; it is parsed once, whoever asks for it again."""
        if self._is_parsed:
            return
        self._is_parsed = True
        if not tap(parsed, self._watch):
            self._watch.take(parsed)
            self._watch.end("ended")

    def end(self, _: object) -> None:
        """Hear that nobody reads on; what was read past the parser is seen if it was read as a whole."""
        body = None if self._is_parsed else body_of_http(self._over_http)
        if body is not None:
            self.take(body)
        elif not self._is_parsed:
            self._watch.read_past = self._over_http
        self._watch.end("closed")


def _followed(function: Callable[..., Any], hear: Callable[[Any], None]) -> Callable[..., Any]:
    """Return *function*; *hear* gets what it has returned."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def call_later(*args: Any, **kwargs: Any) -> Any:
            value = await function(*args, **kwargs)
            hear(value)
            return value

        return call_later

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        value = function(*args, **kwargs)
        hear(value)
        return value

    return call
