"""
Several answers that one operation has heard: the parts of one, or one after the other.
"""

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["combine", "overlaid"]

_SUMS = frozenset(
    {"input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "cost"}
)


def combine(answers: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], list[object]]:
    """
    Return the fields that *answers* tell together, and the messages of those before the last.

    Of the same answer, a stream and its final message, the later adds to or corrects the earlier: a
    count that is 0 or absent takes none back. Another answer, told by its id, has tokens and a price
    of its own.
    """
    combined: dict[str, Any] = {}
    earlier: list[object] = []
    for answer in answers:
        is_another = _differ(combined, answer)
        if is_another and combined.get("response") is not None:
            earlier.append(combined["response"])
        known = {name: combined[name] for name in _SUMS if name in combined}
        combined = overlaid([combined, answer])
        for name, count in known.items():
            later = answer.get(name)
            combined[name] = count + (later or 0) if is_another else later or count
    return combined, earlier


def overlaid(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the fields of all *parts*; the later win, and their extras add up."""
    merged: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            if name == "extras" and isinstance(value, dict) and isinstance(merged.get(name), dict):
                merged[name] = {**merged[name], **value}
            elif value is not None:
                merged[name] = value
    return merged


def _differ(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    ids = [(answer.get("extras") or {}).get("id") for answer in (one, other)]
    return None not in ids and ids[0] != ids[1]
