"""
Messages and a response, as the caller gave them, into :class:`~aicore_sqllog.record.call_record.Message` values.
"""

from collections.abc import Mapping
from typing import Any

from aicore_sqllog.record.call_record import Message
from aicore_sqllog.values.convert import to_name, to_text
from aicore_sqllog.values.json import dump_json

__all__ = ["as_items", "read_messages", "readable_text"]


def read_messages(messages: object, response: object) -> tuple[Message, ...]:
    """
    Return the messages in order, the response last.

    A plain text is one user message, a mapping one message. Whatever has no known form becomes
    a message too, whole in its ``parts``, so that nothing is thrown away.
    """
    found = [_read_message(item, "user") for item in as_items(messages)]
    if response is not None:
        found.append(_read_message(response, "assistant"))
    return tuple(found)


def as_items(messages: object) -> list[object]:
    """Return the messages one by one, as the caller gave them."""
    if messages is None:
        return []
    return list(messages) if isinstance(messages, list | tuple) else [messages]


def _read_message(item: object, role_of_text: str) -> Message:
    if isinstance(item, str):
        return Message(role_of_text, to_text(item)[0], None)
    if isinstance(item, dict):
        return _read_mapping(item, role_of_text if role_of_text == "assistant" else None)
    role = role_of_text if role_of_text == "assistant" else None
    return Message(role, readable_text({"content": item}), dump_json({"content": item}))


def _read_mapping(item: dict[Any, Any], default_role: str | None) -> Message:
    content = item.get("content")
    parts = dict(item)
    role, role_is_name = to_name(item.get("role"))
    if role_is_name:
        parts.pop("role", None)
    if isinstance(content, str):
        del parts["content"]
    return Message(role or default_role, readable_text(item), dump_json(parts) if parts else None)


def readable_text(message: Mapping[Any, Any]) -> str | None:
    """Return the text that a person would read: of a list of parts their texts, a line each."""
    content = message.get("content")
    if content is None and isinstance(message.get("parts"), list | tuple):
        content = message["parts"]  # as Gemini and OpenTelemetry call it
    if content is None or isinstance(content, str):
        return to_text(content)[0]
    if isinstance(content, list | tuple):
        texts = [text for text in map(_part_text, content) if text is not None]
        return to_text("\n".join(texts))[0] if texts else None
    text = _part_text(content)
    return to_text(text)[0] if isinstance(content, dict) else to_text(content)[0]


def _part_text(part: object) -> str | None:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return None
    text = part.get("text")
    if text is None and part.get("type") == "text":
        text = part.get("content")
    return text if isinstance(text, str) else None
