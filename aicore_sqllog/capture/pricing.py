"""
The cost of a record that tells none: its call as the prices need it, and the note where its cost is from.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aicore_sqllog.capture.content import Content
from aicore_sqllog.prices.call import NOT_PRICED, Call, Price
from aicore_sqllog.prices.pricer import Pricer

__all__ = ["COST_SOURCE", "PRICED", "add_cost", "price_of"]

COST_SOURCE = "cost_source"
"""The note that says whose cost it is."""

_NAMES = ("provider", "model", "response_model", "operation_type")
_COUNTS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
PRICED = (*_NAMES, *_COUNTS)
"""The columns that decide a price, besides the time."""

_NO_REQUEST: Mapping[Any, Any] = {}


def add_cost(pricer: Pricer, content: Content, values: dict[str, Any], created: datetime) -> None:
    """Give *values* the cost that they lack. What the record was given as a cost and is none stays none."""
    if values["cost"] is not None or "cost" in content.invalid:
        return
    request = content.own.get("request")
    names = {name: content.fields.get(name) for name in _NAMES}
    price = price_of(
        pricer,
        {**values, **names},
        values["timestamp"] or created,
        content.extras,
        request if isinstance(request, dict) else _NO_REQUEST,
    )
    values["cost"] = price.cost
    if price.source is not None:
        content.own[COST_SOURCE] = price.source


def price_of(
    pricer: Pricer,
    values: Mapping[str, Any],
    timestamp: datetime,
    extras: Mapping[Any, Any],
    request: Mapping[Any, Any] = _NO_REQUEST,
) -> Price:
    """Return the price of a record with these *values* of its columns."""
    counts = [values.get(name) for name in _COUNTS]
    if counts[0] is None and counts[1] is None:
        return NOT_PRICED
    provider, model, response_model, kind = (
        value if isinstance(value, str) else None for value in map(values.get, _NAMES)
    )
    read, written, cached, stored = counts
    call = Call(provider, model, response_model, timestamp, kind, read, written, cached, stored, extras, request)
    return pricer.price(call)
