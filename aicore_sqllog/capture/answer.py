"""
A record's ``response`` that is a provider's answer: read as ``op.record`` reads it.
"""

from typing import Any

from aicore_sqllog.capture.content import Content
from aicore_sqllog.responses.read import read_known_answer

__all__ = ["read_answer"]


def read_answer(content: Content) -> None:
    """Let a provider's answer fill the fields that the record leaves open; any other response stays as it is."""
    found: dict[str, Any] = read_known_answer(content.fields.get("response"))
    if not found:
        return
    for name, value in found.pop("extras", {}).items():
        content.extras.setdefault(name, value)
    content.fields["response"] = found.pop("response", None)
    if found.get("status") != "error":
        found.pop("status", None)  # an answer may be a success and its record still tell of an error
    if "cost" in found and content.fields.get("cost") is None:
        content.own["cost_source"] = "provider"
    for name, value in found.items():
        if content.fields.get(name) is None:
            content.fields[name] = value
