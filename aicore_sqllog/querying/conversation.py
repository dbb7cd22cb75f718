"""
What was said in a session, each message once, though every call may send the history again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

import orjson

__all__ = ["Said", "as_logged", "said_once"]

_INSTRUCTIONS = ("system", "developer")
"""Who gives a model its instructions, which many calls of a session begin with."""

_ANSWERS = ("assistant", "model")


class Said(NamedTuple):
    """A message of a call; those of one call stand together, in order."""

    operation_id: str
    role: str | None
    content: str | None
    parts: str | None


def said_once(messages: Sequence[Said]) -> list[tuple[int, str]]:
    """
    Return the place of each message that its call added, and the message as it was logged, as JSON.

    A call adds what follows the longest history, of all calls before, with which it begins: a history that it repeats
    to its end, the answer included, and so continues. What only begins alike was said again, and stays. Instructions
    that calls share are one. The last message is the call's own answer, whatever was said before.
    """
    histories = _History()
    found: list[tuple[int, str]] = []
    start = 0
    for _, group in groupby(messages, key=lambda message: message.operation_id):
        call = [_Heard.of(message) for message in group]
        new = range(histories.continued_by(call), len(call))
        found.extend((start + place, call[place].text) for place in new)
        histories.add(call)
        start += len(call)
    return found


def as_logged(message: Said) -> dict[str, Any]:
    """Return *message* as it was logged: its role and text, and what of it is more than text."""
    parts = orjson.loads(message.parts) if message.parts is not None else {}
    if not isinstance(parts, dict):
        parts = {"parts": parts}
    role = {} if message.role is None else {"role": message.role}
    is_text = message.content is not None and "content" not in parts and not _is_read_from(parts, message.content)
    return {**role, **({"content": message.content} if is_text else {}), **parts}


def _is_read_from(parts: Mapping[str, Any], content: str) -> bool:
    """Tell whether the text is that of the message's own list of parts, as Gemini and OpenTelemetry have them."""
    listed = parts.get("parts")
    if not isinstance(listed, list):
        return False
    texts = [part if isinstance(part, str) else part.get("text", part.get("content")) for part in listed if part]
    return "\n".join(text for text in texts if isinstance(text, str)) == content


@dataclass(frozen=True, slots=True)
class _Heard:
    """A message as it is compared: an answer carries fields that are empty, and comes back without them."""

    role: str | None
    key: bytes
    text: str

    @classmethod
    def of(cls, message: Said) -> "_Heard":
        logged = as_logged(message)
        compared = {name: value for name, value in logged.items() if value not in (None, [], {})}
        return cls(message.role, orjson.dumps(compared, option=orjson.OPT_SORT_KEYS), orjson.dumps(logged).decode())


@dataclass(slots=True)
class _History:
    """Every history of the calls so far, as a tree of messages."""

    following: "dict[bytes, _History]" = field(default_factory=dict)
    is_end: bool = False
    """Whether a call's history ends here, its answer included."""
    is_request: bool = False
    """Whether an answer follows here."""

    def add(self, call: Sequence[_Heard]) -> None:
        node = self
        for place, heard in enumerate(call):
            node.is_request |= place == len(call) - 1 and heard.role in _ANSWERS
            node = node.following.setdefault(heard.key, _History())
        node.is_end |= bool(call)

    def continued_by(self, call: Sequence[_Heard]) -> int:
        """Return how many of the call's first messages were said before."""
        request = call[:-1] if call and call[-1].role in _ANSWERS else call
        continued, instructions = 0, 0
        for depth, node in enumerate(self._along(request)):
            heard = request[depth] if depth < len(request) else None
            if node.is_end:
                continued = depth
            if node.is_request and heard is not None and heard.role in _ANSWERS:
                continued = depth + 1  # the answer in the form in which it was sent back
            if depth and depth == instructions + 1 and request[depth - 1].role in _INSTRUCTIONS:
                instructions = depth
        return max(continued, instructions)

    def _along(self, request: Sequence[_Heard]) -> "Iterator[_History]":
        """Yield this, and what each message leads to, as far as it was said before."""
        node: _History | None = self
        for heard in request:
            if node is None:
                return
            yield node
            node = node.following.get(heard.key)
        if node is not None:
            yield node
