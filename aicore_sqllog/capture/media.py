"""
Inline images, audio and files, replaced by what they are: media type, size in bytes, SHA-256.

======================  ============================================================
who                     where the data stands
======================  ============================================================
OpenAI and alike        a ``data:`` URL; ``input_audio: {data, format}``; ``b64_json``
Anthropic               ``source: {type: base64, media_type, data}``
Gemini                  ``inline_data``, ``inlineData``: ``{mime_type, data}``
OpenTelemetry           ``{type: blob, mime_type, content}``
======================  ============================================================
"""

import base64
import binascii
import hashlib
import re
from typing import Any

__all__ = ["describe_media"]

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w.+-]+=[^;,]*)*);base64,", re.ASCII | re.IGNORECASE)
_DATA_KEYS = frozenset({"data", "base64", "b64_json", "bytes", "imageBytes", "videoBytes"})
_TEXT_KEYS = frozenset({"content", "text", "role", "type"})
_TYPE_KEYS = ("media_type", "mime_type", "mimeType", "format")
_KINDS = ("image", "audio", "video", "application", "font", "model")
_FORMATS = {name: f"audio/{name}" for name in ("wav", "mp3", "flac", "opus", "aac", "ogg", "m4a", "webm", "pcm16")}
_NOT_STANDARD = str.maketrans("-_", "+/", " \t\r\n")
_MAX_DEPTH = 60


def describe_media(value: object, *, depth: int = 0) -> Any:
    """Return *value* with each piece of inline media replaced by its description, at any depth."""
    if depth > _MAX_DEPTH:
        return value
    if isinstance(value, dict):
        media_type = _media_type(value)
        blob_key = "content" if value.get("type") == "blob" else None
        return {
            name: _describe_item("data" if name == blob_key else name, item, media_type, depth)
            for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [item if _is_plain_text(item) else describe_media(item, depth=depth + 1) for item in value]
    return value


def _is_plain_text(message: object) -> bool:
    """Whether *message* is of the most common form, in which there is nothing to look for."""
    return isinstance(message, dict) and len(message) == 2 and "role" in message and type(message.get("content")) is str


def _describe_item(name: object, item: object, media_type: str | None, depth: int) -> object:
    if isinstance(item, str | bytes):
        if name in _DATA_KEYS and (media_type is not None or isinstance(item, bytes)):
            return _describe(item, media_type)
        return _describe_url(item) if name not in _TEXT_KEYS else item
    return describe_media(item, depth=depth + 1)


def _media_type(part: dict[Any, object]) -> str | None:
    """Return the type of the media that *part* holds, or None if it holds none."""
    if "b64_json" in part:
        return "image"
    for name in _TYPE_KEYS:
        found = part.get(name)
        if isinstance(found, str):
            found = _FORMATS.get(found, found)
            return found if found.partition("/")[0] in _KINDS else None
    # The audio that a model answers with has no type, but a transcript or a time when it expires.
    return "audio" if "data" in part and ("transcript" in part or "expires_at" in part) else None


def _describe_url(item: str | bytes) -> object:
    if not isinstance(item, str) or item[:5].lower() != "data:":
        return item
    match = _DATA_URL.match(item)
    return _describe(item[match.end() :], match.group(1) or "text/plain") if match else item


def _describe(data: str | bytes, media_type: str | None) -> object:
    raw = data if isinstance(data, bytes) else _decode(data)
    return {"media_type": media_type, "size": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}


def _decode(data: str) -> bytes:
    """Return the bytes of base64 text of either alphabet; those of the text itself if it is none."""
    text = data.translate(_NOT_STANDARD) if data.isascii() else data
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return data.encode("utf-8", "replace")
