"""
Redaction: every text of a record passes through the application's functions before it is stored.

What such a function lets through is stored; where it fails, the text is not.
"""

import threading
from collections.abc import Callable, Sequence

from aicore_sqllog.values.json import number_key, to_plain

__all__ = ["Redaction"]

_STRUCTURE = frozenset(
    {
        *("role", "content", "text", "type", "name", "id", "index", "refusal", "annotations", "source", "parts"),
        *("tool_calls", "tool_call_id", "tool_use_id", "function", "function_call", "arguments", "args", "input"),
        *("image_url", "url", "detail", "input_audio", "data", "format", "media_type", "mime_type", "mimeType"),
        *("size", "sha256", "inline_data", "inlineData", "functionCall", "functionResponse", "response", "output"),
    }
)
"""Keys of messages that are words of the providers' APIs: no secret, and needed to read the message."""


_LONG_NUMBER = 10**12
"""From 13 digits on a whole number may be that of a payment card, and is shown to the redactors as text."""


class Redaction:
    """
    Applies *functions* in order to one text or to all in a value.

    Args:
        functions: Each takes a text and returns the text to keep, or None to drop it. For one that raises,
            or returns anything else, a marker that names the failure takes the text's place.

        on_failure: Called with what failed, in words that hold nothing of the text.
    """

    def __init__(
        self, functions: Sequence[Callable[[str], object]], on_failure: Callable[[str], object] = lambda what: None
    ) -> None:
        self._functions = tuple(functions)
        self._on_failure = on_failure

    def text(self, text: str) -> str | None:
        """Return what is left of *text*."""
        for function in self._functions:
            try:
                kept = function(text)
            except BaseException as exc:  # also SystemExit, which must not end the thread
                if isinstance(exc, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                    raise  # a person's, at the end of the process
                return self._withhold(f"the redactor raised {type(exc).__name__}")
            if kept is None:
                return None
            if not isinstance(kept, str):
                return self._withhold(f"the redactor returned {type(kept).__name__}")
            text = str.__str__(kept)
        return text

    def tree(self, value: object) -> object:
        """Return *value* as what JSON knows, with every text in it redacted, keys too."""
        return self._redact(to_plain(value))

    def _redact(self, value: object) -> object:
        if isinstance(value, str):
            return self.text(value)
        if type(value) is int and abs(value) >= _LONG_NUMBER:
            kept = self.text(str(value))
            return value if kept == str(value) else kept
        if isinstance(value, list):
            return [self._redact(item) for item in value]
        return self._redact_mapping(value) if isinstance(value, dict) else value

    def _redact_mapping(self, values: dict[str, object]) -> dict[str, object]:
        redacted: dict[str, object] = {}
        for key, item in values.items():
            name = key if key in _STRUCTURE else self.text(key)
            if name is not None:
                redacted[number_key(name, redacted)] = self._redact(item)
        return redacted

    def _withhold(self, failure: str) -> str:
        self._on_failure(failure)
        return f"[withheld: {failure}]"
