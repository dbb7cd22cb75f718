"""
What of a call decides its price, and what its price is.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

__all__ = ["NOT_PRICED", "Call", "Price"]


class Call(NamedTuple):
    """One call; the token counts are inclusive, as those of a record."""

    provider: str | None
    model: str | None
    response_model: str | None
    timestamp: datetime
    operation_type: str | None
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    extras: Mapping[Any, Any]
    """What the provider said beside the counts: its usage, its service tier."""
    request: Mapping[Any, Any] = {}
    """What was asked for, where the answer does not tell."""

    @property
    def models(self) -> tuple[str, ...]:
        """The models to look for: the one that answered, whose name is the more exact, then the one asked for."""
        return tuple(dict.fromkeys(name for name in (self.response_model, self.model) if name))


class Price(NamedTuple):
    """What a call cost, or why that is not known."""

    cost: float | None
    """In dollars, or in the currency of the owner's prices."""
    source: str | None
    """For ``extras["sqllog"]["cost_source"]``."""


NOT_PRICED = Price(None, None)
"""Of what has no tokens, or must not be priced."""
