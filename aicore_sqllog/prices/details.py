"""
What decides a price beside the four counts: service tier, batch, speed, and tokens that have prices of their own.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from aicore_sqllog.prices.call import Call

__all__ = ["Details", "read_details"]

_ORDINARY = frozenset(
    {"auto", "default", "standard", "standard_only", "on_demand", "unspecified", "service_tier_unspecified"}
)
"""Service tiers that are paid as no tier at all."""

_TIER_PLACES = (
    "service_tier",
    "serviceTier",
    "usage.service_tier",
    "usageMetadata.serviceTier",
    "usageMetadata.trafficType",
)
_TIER_OF_NAME = {"on_demand_priority": "priority", "on_demand_flex": "flex"}
_BATCH = "batch"

_COUNTS: Mapping[str, tuple[str, ...]] = {
    "cache_write_1h_tokens": ("usage.cache_creation.ephemeral_1h_input_tokens",),
    "input_audio_tokens": ("usage.prompt_tokens_details.audio_tokens", "usage.input_tokens_details.audio_tokens"),
    "output_audio_tokens": ("usage.completion_tokens_details.audio_tokens", "usage.output_tokens_details.audio_tokens"),
    "web_searches": ("usage.server_tool_use.web_search_requests",),
}
"""Counts that may have a price of their own, by the names of genai-prices, and where providers tell them."""

_GEMINI_DETAILS = (
    ("input_audio_tokens", "usageMetadata.promptTokensDetails"),
    ("output_audio_tokens", "usageMetadata.candidatesTokensDetails"),
)


class Details(NamedTuple):
    """What decides a price beside the four counts."""

    context: tuple[tuple[str, str], ...]
    """What was asked for that is no ordinary call, as ``("service_tier", "flex")``; it must have a price."""
    counts: tuple[tuple[str, int], ...]
    """Counts that may have a price of their own; none is 0."""


_NONE = Details((), ())


def read_details(call: Call) -> Details:
    """Return what *call* tells beside its counts."""
    if not call.extras and not call.request:
        return _NONE
    context: dict[str, str] = {}
    tier = _tier(call)
    if tier == _BATCH or call.extras.get(_BATCH) is True or call.extras.get("processing") == _BATCH:
        context["processing"] = _BATCH
    if tier not in _ORDINARY and tier not in (None, _BATCH):
        context["service_tier"] = str(tier)
    speed = _at(call.extras, "usage.speed") or call.request.get("speed")
    if isinstance(speed, str) and speed != "standard":
        context["speed"] = speed
    return Details(tuple(context.items()), tuple(_counts(call.extras).items()))


def _tier(call: Call) -> str | None:
    """Return the service tier that the answer tells, else the one that was asked for; lower case."""
    for held, places in ((call.extras, _TIER_PLACES), (call.request, _TIER_PLACES[:2])):
        for place in places:
            found = _at(held, place)
            if isinstance(found, str) and found:
                name = found.lower()
                return _TIER_OF_NAME.get(name, name)
    return None


def _counts(extras: Mapping[Any, Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, places in _COUNTS.items():
        for place in places:
            count = _at(extras, place)
            if type(count) is int and count > 0:
                found[name] = count
    for name, place in _GEMINI_DETAILS:
        for detail in _at(extras, place) or ():
            if isinstance(detail, dict) and detail.get("modality") == "AUDIO" and type(detail.get("tokenCount")) is int:
                found[name] = detail["tokenCount"]
    return found


def _at(value: Any, path: str) -> Any:
    for step in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value
