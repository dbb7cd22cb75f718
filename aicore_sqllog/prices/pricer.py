"""
Pricer: gives a call that has tokens and no cost its cost, and says where that is from.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aicore_sqllog.errors import ConfigurationError
from aicore_sqllog.prices.call import NOT_PRICED, Call, Price
from aicore_sqllog.prices.own import OwnPrices, own_function, own_table, read_file
from aicore_sqllog.prices.published import PublishedPrices
from aicore_sqllog.process.fork_guard import IMPORTS

__all__ = ["Pricer", "Prices", "make_pricer"]

Prices = str | Mapping[str, Any] | Callable[[Mapping[str, Any]], object]
"""``"auto"``, ``"off"``, the path of a JSON file, a table, or a function."""

_MISSING = (
    "calls have no cost, because genai-prices is not installed. Install aicore-sqllog[prices], or give the handler "
    'prices="off", or prices of your own.'
)


class Pricer:
    """
    Prices calls; for one thread. genai-prices is imported when it is first needed.

    Args:
        own: The owner's prices, which win.

        say: Is told once if genai-prices is missing.
    """

    def __init__(self, own: OwnPrices | None, say: Callable[[str], object]) -> None:
        self._own = own
        self._say = say
        self._published: PublishedPrices | None = None
        self._is_missing = False

    def price(self, call: Call) -> Price:
        """Return what *call* cost, or why that is not known; never raises."""
        if call.input_tokens is None and call.output_tokens is None:
            return NOT_PRICED
        try:
            own = NOT_PRICED if self._own is None else self._own(call)
            if own.source is not None:
                return own
            if not call.models:
                return Price(None, "none: no model")
            published = self._ready()
            return Price(None, "none: genai-prices is not installed") if published is None else published.price(call)
        except Exception as exc:
            return Price(None, f"none: {type(exc).__qualname__} while pricing")

    def _ready(self) -> PublishedPrices | None:
        if self._published is None and not self._is_missing:
            try:
                with IMPORTS:
                    self._published = PublishedPrices()
            except ImportError:
                self._is_missing = True
                if self._own is None:
                    self._say(_MISSING)
        return self._published


def make_pricer(
    prices: Prices, say: Callable[[str], object], lend: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> Pricer | None:
    """
    Return the pricer that *prices*, an option's value, asks for; None for ``"off"``.

    Args:
        prices: See :data:`Prices`.

        say: Where a person is told.

        lend: How a function of the owner's is held.

    Raises:
        ConfigurationError: If it is none of these.
    """
    if isinstance(prices, str):
        if prices in ("auto", "off"):
            return Pricer(None, say) if prices == "auto" else None
        return Pricer(own_table(read_file(Path(prices))), say)
    if isinstance(prices, Mapping):
        return Pricer(own_table(prices), say)
    if callable(prices):
        return Pricer(own_function(lend(prices), say), say)
    raise ConfigurationError(
        f"prices=<{type(prices).__name__}> cannot work. "
        "Allowed: 'auto', 'off', a mapping, a JSON file of one, or a function."
    )
