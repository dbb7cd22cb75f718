"""
What a call cost, where the provider or the gateway that answered says so.
"""

import math
from collections.abc import Callable
from typing import Any

from aicore_sqllog.responses.counts import at_path

__all__ = ["cost_beside", "cost_in"]

_TICKS_PER_DOLLAR = 10_000_000_000


def _dollars(value: object) -> float | None:
    """Return an amount; providers write it as a number or as its digits."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        amount = float(value)
    except (ValueError, OverflowError):
        return None
    return amount if math.isfinite(amount) and amount >= 0 else None


def _ticks(value: object) -> float | None:
    amount = _dollars(value)
    return None if amount is None else amount / _TICKS_PER_DOLLAR


_PLACES: tuple[tuple[str, Callable[[object], float | None]], ...] = (
    ("usage.cost", _dollars),  # OpenRouter, LiteLLM's proxy
    ("usage.cost.total_cost", _dollars),  # Perplexity
    ("usage.cost_in_usd_ticks", _ticks),  # xAI
    ("usage.estimated_cost", _dollars),  # DeepInfra
    ("usage.total_cost", _dollars),
    ("response_metadata.token_usage.cost", _dollars),  # LangChain, of OpenRouter
    ("_hidden_params.response_cost", _dollars),  # LiteLLM
)
"""Where the cost of a call stands in an answer; the first place that has one is taken."""


def cost_in(body: object) -> float | None:
    """Return what an answer says that it cost; None where it says nothing."""
    for place, read in _PLACES:
        cost = read(at_path(body, place))
        if cost is not None:
            return cost
    return None


def cost_beside(response: object) -> float | None:
    """Return the cost that LiteLLM keeps beside an answer, in an attribute of its object; None for any other."""
    hidden: Any = getattr(response, "_hidden_params", None)
    return _dollars(hidden.get("response_cost")) if isinstance(hidden, dict) else None
