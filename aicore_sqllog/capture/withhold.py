"""
``capture_content=False``: a record without its texts. Names, numbers, roles, counts and lengths stay.
"""

import re
from typing import Any

from aicore_sqllog.capture.content import Content
from aicore_sqllog.capture.fields import COLUMN_NAMES, FIELDS
from aicore_sqllog.capture.messages import as_items, readable_text
from aicore_sqllog.values.text import NAME_LENGTH

__all__ = ["withhold_texts"]

_ROLE = re.compile(r"[\w.-]{1,64}", re.ASCII)
_NAMES = (*COLUMN_NAMES, "session_id")
_NOTES = frozenset({"logger", "level", "fault", "note", "cost_source", "model_source"})
_LISTS = ("tool_calls", "parts")


def withhold_texts(content: Content) -> None:
    """Take every text out of *content*, and note the lengths."""
    fields, own = content.fields, content.own
    names = {name: fields[name] for name in _NAMES if name in fields and _is_name(fields[name])}
    texts: dict[str, object] = {**own, "error_message": fields.get("error_message")}
    messages = [_outline(message, "user") for message in as_items(fields.get("messages"))]
    response = fields.get("response")
    notes: dict[str, object] = {name: own[name] for name in _NOTES if name in own}
    notes["capture_content"] = False
    notes["lengths"] = {name: len(text) for name, text in texts.items() if name not in _NOTES and isinstance(text, str)}
    if content.extras:
        notes["extras"] = len(content.extras)
    if not content.invalid.keys().isdisjoint(FIELDS):
        notes["invalid"] = dict.fromkeys(name for name in content.invalid if name in FIELDS)
    content.fields = {**names, "messages": messages or None}
    if response is not None:
        content.fields["response"] = _outline(response, "assistant")
    content.own, content.extras, content.invalid, content.shadowed = notes, {}, {}, {}


def _is_name(value: object) -> bool:
    """Whether *value* is what a name's column is for. Anything else there may be a text that went astray."""
    if isinstance(value, str):
        return len(value) <= NAME_LENGTH and "\n" not in value
    return type(value) is int


def _outline(message: object, role_of_text: str) -> dict[str, object]:
    """Return a message with the role of *message*, and its lengths for its texts."""
    if not isinstance(message, dict):
        return {"role": role_of_text, **_length(message)}
    outline: dict[str, Any] = _length(readable_text(message))
    role = message.get("role")
    if isinstance(role, str) and _ROLE.fullmatch(role):
        outline["role"] = role
    elif role is None and role_of_text == "assistant":
        outline["role"] = role_of_text
    content = message.get("content")
    counts = {"parts": content, **{name: message[name] for name in _LISTS if message.get(name) is not None}}
    outline.update({name: len(value) for name, value in counts.items() if isinstance(value, list | tuple)})
    return outline


def _length(text: object) -> dict[str, object]:
    return {"length": len(text)} if isinstance(text, str) else {}
