"""
Redaction: every text of a record passes through the application's functions before it is stored.

What such a function lets through is stored; where it fails, the text is not.
"""

import math
import threading
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from aicore_sqllog.values.scalars import plain_leaf
from aicore_sqllog.values.tree import number_key

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
        """Return *value*, whose containers are plain, with every text in it redacted, keys too."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.tree(item) for item in value]
        if isinstance(value, dict):
            return self._redact_mapping(value)
        return value if value is None or isinstance(value, bool) else self._redact_leaf(value)

    def _redact_leaf(self, value: Any) -> object:
        if not isinstance(value, int | float | Decimal):
            return self.text(str(plain_leaf(value)))
        number: Any = value
        if not math.isfinite(number) or abs(number) < _LONG_NUMBER or number != int(number):
            return value
        kept = self.text(digits := str(int(value)))
        return value if kept == digits else kept

    def _redact_mapping(self, values: dict[str, object]) -> dict[str, object]:
        redacted: dict[str, object] = {}
        numbers: dict[str, int] = {}
        for key, item in values.items():
            name = key if key in _STRUCTURE else self.text(key)
            if name is not None:
                redacted[number_key(name, redacted, numbers)] = self.tree(item)
        return redacted

    def _withhold(self, failure: str) -> str:
        self._on_failure(failure)
        return f"[withheld: {failure}]"
