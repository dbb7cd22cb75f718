"""
A record's ``response`` that is a provider's answer: read as ``op.record`` reads it.
"""

from typing import Any

from aicore_sqllog.capture.content import Content, plain_tree
from aicore_sqllog.responses.read import read_known_answer

__all__ = ["read_answer"]


def read_answer(content: Content) -> None:
    """Let a provider's answer fill the fields that the record leaves open; any other response stays as it is."""
    response = content.fields.get("response")
    found: Any = read_known_answer(response)
    if not found:
        return
    if isinstance(response, str):  # the values that its JSON held are new
        found = plain_tree(found)
    for name, value in found.pop("extras", {}).items():
        content.extras.setdefault(name, value)
    content.fields["response"] = found.pop("response", None)
    if found.get("status") != "error":
        found.pop("status", None)  # an answer may be a success and its record still tell of an error
    if "cost" in found and content.fields.get("cost") is None:
        content.own["cost_source"] = "reported"
    for name, value in found.items():
        if content.fields.get(name) is None:
            content.fields[name] = value
