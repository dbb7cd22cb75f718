"""
The prices of one model's tokens, and the cost of a call by them.

The common case alone, of the four counts, in a fraction of the time that the library of prices takes; the tests
compare both.
"""

from collections.abc import Mapping
from decimal import Decimal

from aicore_sqllog.prices.call import Call

__all__ = ["Rates", "Steps", "cost_of"]

Steps = tuple[tuple[int, Decimal], ...]
"""The price of a million tokens, from more input tokens than the number on; the highest first, the last from -1."""

_MILLION = Decimal(1_000_000)


class Rates:
    """The prices of a model by the name of the count; one that a model has none of is paid as the whole."""

    __slots__ = ("has_output", "steps")

    def __init__(self, steps: Mapping[str, Steps]) -> None:
        self.steps = steps
        self.has_output = any(price for _, price in steps.get("output_tokens", ()))


def cost_of(rates: Rates, call: Call) -> float | None:
    """Return what *call* cost; None where a count that has a price is not known, or the counts do not add up."""
    whole, written = call.input_tokens, call.output_tokens
    if whole is None or (written is None and rates.has_output):
        return None
    read, stored = call.cache_read_tokens or 0, call.cache_write_tokens or 0
    if read + stored > whole:
        return None
    has_own = rates.steps.keys()
    of_cache = (("cache_read_tokens", read), ("cache_write_tokens", stored))
    parts = [(name, count) for name, count in of_cache if count and name in has_own]
    parts.append(("input_tokens", whole - sum(count for _, count in parts)))
    parts.append(("output_tokens", written or 0))
    return float(sum(_price(rates.steps.get(name, ()), whole) * count for name, count in parts) / _MILLION)


def _price(steps: Steps, input_tokens: int) -> Decimal:
    return next((price for start, price in steps if input_tokens > start), Decimal(0))
