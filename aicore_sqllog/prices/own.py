"""
Prices of the owner's: a mapping, a JSON file of one, or a function.
"""

import json
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from aicore_sqllog.errors import ConfigurationError
from aicore_sqllog.prices.call import NOT_PRICED, Call, Price
from aicore_sqllog.prices.rates import Rates, cost_of

__all__ = ["OwnPrices", "own_function", "own_table", "read_file"]

OwnPrices = Callable[[Call], Price]

SOURCE = "computed by own prices"
_KEYS = {"input": "input_tokens", "output": "output_tokens", "cache_read": "cache_read_tokens"}
_KEYS |= {"cache_write": "cache_write_tokens"}
_ALLOWED = (
    "a mapping of 'model' or 'provider/model' to prices per million tokens: input, output, cache_read, cache_write"
)


def own_table(table: Mapping[str, Any]) -> OwnPrices:
    """
    Return the prices of *table*: of a model, or of ``"provider/model"``, the prices of a million tokens.

    Raises:
        ConfigurationError: If it is no such table.
    """
    rates = {name: _read_rates(name, prices) for name, prices in table.items()}

    def price(call: Call) -> Price:
        for model in call.models:
            for name in (f"{call.provider}/{model}", model):
                if name in rates:
                    cost = cost_of(rates[name], call)
                    return NOT_PRICED if cost is None else Price(cost, SOURCE)
        return NOT_PRICED

    return price


def own_function(function: Callable[[Mapping[str, Any]], object], on_failure: Callable[[str], object]) -> OwnPrices:
    """Return the prices that *function* tells: of a call's fields the cost, or None."""

    def price(call: Call) -> Price:
        try:
            cost: Any = function(call._asdict())
            if cost is None:
                return NOT_PRICED
            amount = float(cost)
        except Exception as exc:
            on_failure(f"the function of prices= failed with {type(exc).__qualname__}")
            return Price(None, "none: the function of prices= failed")
        return Price(amount, SOURCE) if math.isfinite(amount) and amount >= 0 else Price(None, "none: no amount")

    return price


def read_file(path: Path) -> Mapping[str, Any]:
    """Return the table that the JSON file at *path* holds; raises as :func:`own_table` does."""
    try:
        table = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as exc:
        raise ConfigurationError(
            f"prices={str(path)!r} cannot be read ({exc}). Allowed: a JSON file of {_ALLOWED}."
        ) from exc
    if not isinstance(table, dict):
        raise ConfigurationError(f"prices={str(path)!r} holds no mapping. Allowed: {_ALLOWED}.")
    return table


def _read_rates(name: str, prices: Any) -> Rates:
    known = isinstance(prices, Mapping) and prices.keys() <= _KEYS.keys() and "input" in prices
    if not known or not all(_is_price(price) for price in prices.values()):
        raise ConfigurationError(f"prices[{name!r}]={prices!r} cannot work. Allowed: {_ALLOWED}.")
    return Rates({_KEYS[key]: ((-1, Decimal(str(price))),) for key, price in prices.items()})


def _is_price(price: object) -> bool:
    return isinstance(price, int | float) and not isinstance(price, bool) and math.isfinite(price) and price >= 0
