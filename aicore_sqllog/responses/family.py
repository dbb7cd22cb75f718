"""
What a family of answers is: how to know one, how to read it, how to put its stream together.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["Accumulator", "Body", "Family", "Fields", "compact", "mappings", "one_message", "rest"]

Body = dict[str, Any]
"""An answer or a chunk as builtins, as its JSON would be."""

Fields = dict[str, object]
"""Fields of a record; one that is not known is absent."""


class Accumulator(Protocol):
    """Puts the chunks of a stream together to the body that the same answer would have had in one piece."""

    @property
    def has_content(self) -> bool:
        """Whether any text, reasoning or tool call came yet."""

    @property
    def is_complete(self) -> bool:
        """Whether the provider said that the answer is over."""

    def add(self, chunk: Body) -> None:
        """Take the next chunk."""

    def body(self) -> Body:
        """Return the answer so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A shape of answers that one or many providers speak."""

    name: str
    recognises: Callable[[Body], bool]
    read: Callable[[Body], Fields]
    recognises_chunk: Callable[[Body], bool] = lambda chunk: False
    open_stream: Callable[[], Accumulator] | None = None
    error: Callable[[Body], Body | None] = lambda body: None
    """The error that a body tells of in a place of its family's own."""
    repeats: Callable[[Body], bool] = lambda event: False
    """Whether an SDK's own event only says once more what a chunk has said."""
    normalise: Callable[[Body], Body] = lambda body: body
    """One spelling for the names of a body, where SDKs have another than the provider's JSON."""


def compact(fields: Mapping[str, object]) -> Fields:
    """Return *fields* without those that are not known."""
    return {name: value for name, value in fields.items() if value is not None and value != {}}


def mappings(value: object) -> list[Body]:
    """Return the mappings of a list; none if it is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def rest(body: Body, used: Collection[str]) -> Body:
    """Return what of *body* has no field of its own and says something."""
    return {name: value for name, value in body.items() if name not in used and value is not None}


def one_message(messages: list[Body]) -> Body | None:
    """Return the first of several alternative answers, with the others inside, so that none is lost."""
    if not messages:
        return None
    first, *others = messages
    return {**first, "other_choices": others} if others else first
