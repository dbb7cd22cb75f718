"""
The providers' published prices, as genai-prices has them: dated, by service tier, for batches and for caches.

What is not known is not guessed: an unknown provider, model or tier has no price.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aicore_sqllog.prices.call import Call, Price
from aicore_sqllog.prices.details import Details, read_details
from aicore_sqllog.prices.rates import Rates, Steps, cost_of

__all__ = ["PublishedPrices"]

_PROVIDERS: Mapping[str, str] = {
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "gcp.gemini": "google",
    "gcp.vertex_ai": "google",
    "gemini": "google",
    "vertex_ai": "google",
    "aws.bedrock": "aws",
    "bedrock": "aws",
    "x_ai": "x-ai",
    "xai": "x-ai",
    "mistral_ai": "mistral",
    "together_ai": "together",
    "fireworks_ai": "fireworks",
    "z_ai": "zai",
    "moonshot": "moonshotai",
}
"""What genai-prices calls the providers that others call by another name."""

_OWN_PRICE_OF = {name: f"{name.removesuffix('_tokens')}_mtok" for name in ("input_tokens", "output_tokens")}
_OWN_PRICE_OF |= {"cache_read_tokens": "cache_read_mtok", "cache_write_tokens": "cache_write_mtok"}
_FINE_TUNED = "ft:"
_LARGEST_CACHE = 4_096

Found = tuple[Any, Any, str]
"""A provider, a model of its list, and nothing; or None twice, and why there is none."""


class PublishedPrices:
    """
    The prices of genai-prices, as they are in the package or as the application has had them updated.

    Raises:
        ImportError: If genai-prices is not installed.
    """

    def __init__(self) -> None:
        import genai_prices
        from genai_prices import data_snapshot, types

        self._version = genai_prices.__version__
        self._get_snapshot: Any = data_snapshot.get_snapshot
        self._types: Any = types
        self._snapshot: Any = None
        self._found: dict[tuple[str | None, tuple[str, ...]], Found] = {}
        self._rates: dict[int, tuple[Any, Rates | None]] = {}
        self._source = ""

    def price(self, call: Call) -> Price:
        """Return what *call* cost by the prices of its own time, or why that is not known."""
        self._follow_updates()
        key = (call.provider, call.models)
        found = self._found.get(key)
        if found is None:
            if len(self._found) >= _LARGEST_CACHE:
                self._found.clear()
            found = self._found[key] = self._find(*key)
        provider, model, why = found
        if model is None:
            return Price(None, why)
        details = read_details(call)
        lacking = self._lacks(provider, model, details, call.timestamp)
        if lacking is not None:
            return Price(None, lacking)
        cost = self._cost(model, call, details)
        return Price(None, "none: the counts do not tell it") if cost is None else Price(cost, self._source)

    def _follow_updates(self) -> None:
        snapshot = self._get_snapshot()
        if snapshot is not self._snapshot:
            self._snapshot, self._found, self._rates = snapshot, {}, {}
            updated = f", updated {snapshot.timestamp:%Y-%m-%d}" if snapshot.from_auto_update else ""
            self._source = f"computed by genai-prices {self._version}{updated}"

    def _find(self, provider_name: str | None, models: tuple[str, ...]) -> Found:
        why = "none: unknown model"
        for name in models:
            provider, rest = self._provider_of(provider_name, name)
            if provider is None:
                why = "none: unknown provider" if provider_name else "none: unknown model"
                continue
            model = provider.find_model(rest, all_providers=self._snapshot.providers)
            if model is not None and rest.startswith(_FINE_TUNED) == model.id.startswith(_FINE_TUNED):
                return provider, model, ""
        return None, None, why

    def _provider_of(self, provider_name: str | None, model: str) -> tuple[Any, str]:
        """Return the provider, and the model as the provider calls it: LiteLLM puts one before the other."""
        model = model.lower()
        named = self._by_name(provider_name) if provider_name else None
        if named is not None or provider_name:
            return named, model
        first, slash, rest = model.partition("/")
        if slash:
            return self._by_name(first), rest
        everyone = self._snapshot.providers
        return next((p for p in everyone if p.model_match is not None and p.model_match.is_match(model)), None), model

    def _by_name(self, name: str) -> Any:
        name = name.strip().lower()
        wanted = _PROVIDERS.get(name, name)
        return next((p for p in self._snapshot.providers if p.id == wanted), None)

    def _lacks(self, provider: Any, model: Any, details: Details, timestamp: datetime) -> str | None:
        """Return which of what was asked for has no price of its own."""
        own = any(model is each for each in provider.models)
        for key, value in details.context:
            variants = model.price_variants or () if own else ()
            named = (
                v for v in variants if v.when.get(key) == value and v.when.items() <= dict(details.context).items()
            )
            if not any(v.constraint is None or v.constraint.active(timestamp) for v in named):
                return f"none: no price for {key} {value[:64]!r}"
        return None

    def _cost(self, model: Any, call: Call, details: Details) -> float | None:
        prices = model.get_prices(call.timestamp, dict(details.context))
        rates = self._rates_of(prices, is_kept=not details.context)
        if rates is None or any(_has_own_price(prices, name) for name, _ in details.counts):
            return self._cost_by_library(prices, call, details)
        return cost_of(rates, call)

    def _rates_of(self, prices: Any, *, is_kept: bool) -> Rates | None:
        kept = self._rates.get(id(prices))  # its prices are kept with it, so that no other can have its id
        if kept is not None:
            return kept[1]
        rates = self._read_rates(prices)
        if is_kept:
            self._rates[id(prices)] = (prices, rates)
        return rates

    def _read_rates(self, prices: Any) -> Rates | None:
        held = {name: getattr(prices, key, None) for name, key in _OWN_PRICE_OF.items()}
        if held["input_tokens"] is None or getattr(prices, "requests_kcount", None) is not None:
            return None
        return Rates({name: self._steps(price) for name, price in held.items() if price is not None})

    def _steps(self, price: Any) -> Steps:
        if isinstance(price, self._types.TieredPrices):
            return (*((tier.start, tier.price) for tier in reversed(price.tiers)), (-1, price.base))
        return ((-1, price),)

    def _cost_by_library(self, prices: Any, call: Call, details: Details) -> float | None:
        if call.input_tokens is None or (call.output_tokens is None and getattr(prices, "output_mtok", None)):
            return None
        counts = {name: getattr(call, name) for name in _OWN_PRICE_OF if getattr(call, name) is not None}
        counts |= {name: count for name, count in details.counts if _has_own_price(prices, name)}
        try:
            return float(prices.calc_price(self._types.Usage(**counts))["total_price"])
        except (ValueError, ArithmeticError):  # counts that contradict each other
            return None


def _has_own_price(prices: Any, count: str) -> bool:
    key = "web_searches_kcount" if count == "web_searches" else count.replace("_tokens", "_mtok")
    return getattr(prices, key, None) is not None
