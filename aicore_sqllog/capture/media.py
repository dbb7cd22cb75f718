"""
Inline images, audio and files, replaced by what they are: media type, size in bytes, SHA-256.

Told by their form, wherever they stand: a ``data:`` URL, alone or inside a text; bytes that are no text; base64
that decodes to what begins as an image, a recording, a film or a document does. Where the data itself bears no
mark (raw audio), what stands around it tells: a media type, a format, a name such as ``images``.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from aicore_sqllog.capture.media_types import is_varied, type_of_base64, type_of_bytes
from aicore_sqllog.values.tree import Node

__all__ = ["DATA_KEYS", "describe_data", "may_hold_media"]

_LINES = r"(?:[A-Za-z0-9+/_-]{60,128}(?:\r?\n|(?:\\r)?\\n))"
"""Base64 as mail has it, in lines; within JSON text their ends are escaped."""

_DATA_URL = re.compile(
    r"data:(?P<type>[\w.+-]{1,60}/[\w.+-]{1,100})?(?:;[\w.+-]{1,60}=[^;,\s]{0,200}){0,5};base64,"
    rf"(?P<data>{_LINES}*+(?:[A-Za-z0-9+/_-]++|\\/|%2[BbFf])*+(?:=|%3[Dd]){{0,2}})",
    re.ASCII | re.IGNORECASE,
)
_RUN = re.compile(
    rf"(?:(?<![A-Za-z0-9+/_\\-])|(?<=\\n)|(?<=\\)(?=/))(?:{_LINES}{{7,}}+[A-Za-z0-9+/_-]*|[A-Za-z0-9+/_-]{{512,}})={{0,2}}"
)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{60}[A-Za-z0-9+/_\r\n-]*={0,2}\s*", re.ASCII)

_SHORTEST_RUN = 512
"""Shorter base64 inside a text is left: an id, a hash, a signature."""

_WINDOW = _SHORTEST_RUN // 2

_SHORTEST_UNMARKED = 1_024
"""From here on base64 that bears no mark, but stands where media stands, is media."""

_SHORTEST_ANYWHERE = 8_192
"""From here on it is, wherever it stands, unless its name says that it is a signature or the like."""

_SHORTEST_BYTES = 256
"""Fewer bytes that are no text are a key or a hash, and are kept."""

DATA_KEYS = frozenset({"data", "base64", "b64_json", "bytes", "imageBytes", "videoBytes", "image_bytes", "video_bytes"})
"""Here data stands whose type is said beside it, of any length."""
_TEXT_KEYS = frozenset({"content", "text"})
_TYPE_KEYS = ("media_type", "mime_type", "mimeType", "mediaType", "output_format", "format")
_KINDS = ("image", "audio", "video", "application", "font", "model")
_AUDIO = ("wav", "mp3", "flac", "opus", "aac", "ogg", "m4a", "webm", "pcm16")
_IMAGES = ("png", "jpeg", "jpg", "gif", "webp", "bmp", "tiff", "heic", "avif")
_FORMATS = {name: f"audio/{name}" for name in _AUDIO} | {name: f"image/{name}" for name in _IMAGES}
_MEDIA_NAME = re.compile(r"(?i)image|audio|video|picture|photo|voice|speech|file|attachment|document|media|b64|base64")
_OPAQUE_NAME = re.compile(r"(?i)signature|encrypt|cipher|token|cursor|nonce|hash|digest|embedding|redacted|\bid$|_id$")
_NOT_STANDARD = str.maketrans("-_", "+/", " \t\r\n")


def describe_data(data: str | bytes, node: Node, key: object) -> object:
    """Return what is stored of *data*, which *node* holds at *key*: media as their description, all else as it is."""
    if key not in DATA_KEYS and type(data) is str and not may_hold_media(data):
        return data
    declared = _declared_type(node, key) if key in DATA_KEYS or key == "content" else None
    if isinstance(data, bytes):
        return _describe_bytes(data, declared, node)
    if declared is not None:
        return _describe(_decode(data), declared)
    if key in _TEXT_KEYS:  # it stays a text, which people read
        return _describe_inside(data)
    if data[:5].lower() == "data:" and (url := _DATA_URL.fullmatch(data.rstrip())):
        return _describe(_decode(url["data"]), url["type"] or "text/plain")
    return _describe_base64(data, node, key) if _BASE64.fullmatch(data) else _describe_inside(data)


def may_hold_media(text: str) -> bool:
    """Whether *text* may hold media: nearly every text is told from it by a look at some of its characters."""
    if len(text) < _SHORTEST_RUN:
        return " " not in text[:64] or ";base64," in text
    windows = range(0, len(text) - _WINDOW + 1, _WINDOW)
    has_run = any(text.find(" ", start, start + _WINDOW) < 0 for start in windows)
    return has_run or ";base64," in text


def _describe_bytes(data: bytes, declared: str | None, node: Node) -> object:
    found = declared or type_of_bytes(data)
    if found is None and len(data) >= _SHORTEST_BYTES and data.isascii() and _BASE64.fullmatch(text := data.decode()):
        return data if (found := type_of_base64(text)) is None else _describe(_decode(text), found)
    if found is None and len(data) >= _SHORTEST_BYTES and _is_binary(data):
        found = _type_around(node) or "application/octet-stream"
    return data if found is None else _describe(data, found)


def _describe_base64(text: str, node: Node, key: object) -> object:
    found = type_of_base64(text)
    if found is None and len(text) >= _SHORTEST_UNMARKED and _is_unmarked_media(text):
        names = list(_names_around(node, key))
        is_media = len(text) >= _SHORTEST_ANYWHERE or any(map(_MEDIA_NAME.search, names))
        found = "application/octet-stream" if is_media and not any(map(_OPAQUE_NAME.search, names[:2])) else None
    return text if found is None else _describe(_decode(text), _type_around(node) or found)


def _describe_inside(text: str) -> str:
    if ";base64," in text.lower():
        text = _DATA_URL.sub(_url_inside, text)
    return _RUN.sub(_run_inside, text)


def _url_inside(found: re.Match[str]) -> str:
    return _said(found["data"], found["type"] or "text/plain") if len(found["data"]) >= 64 else found.group()


def _run_inside(found: re.Match[str]) -> str:
    run = _joined(found.group())
    media_type = type_of_base64(run)
    if media_type is None and len(run) >= _SHORTEST_ANYWHERE and _is_unmarked_media(run):
        media_type = "application/octet-stream"
    return found.group() if media_type is None else _said(run, media_type)


def _is_unmarked_media(text: str) -> bool:
    """Whether *text* is base64 of what is no text, though it does not begin as any known media does."""
    return is_varied(text) and _is_binary(_decode(text[:4_096]))


def _said(data: str, media_type: str) -> str:
    raw = _decode(data)
    return f"[{media_type}, {len(raw)} bytes, SHA-256 {hashlib.sha256(raw).hexdigest()}]"


def _declared_type(node: Node, key: object) -> str | None:
    """Return the type of the media that the part of a message that *node* is says it holds at *key*."""
    part: Any = node.source
    if not isinstance(part, dict) or (key == "content" and part.get("type") != "blob"):
        return None
    if key == "b64_json":
        return _type_around(node) or "image"
    found = _type_in(part)
    if found is not None:
        return found
    # The audio that a model answers with has no type, but a transcript or a time when it expires.
    return "audio" if key == "data" and ("transcript" in part or "expires_at" in part) else None


def _type_in(part: Any) -> str | None:
    for name in _TYPE_KEYS:
        found = part.get(name)
        if isinstance(found, str):
            found = _FORMATS.get(found.lower(), found)
            if found.partition("/")[0] in _KINDS:
                return found
    return None


def _type_around(node: Node | None) -> str | None:
    for _ in range(3):
        if node is None:
            return None
        found = _type_in(node.source) if isinstance(node.source, dict) else None
        if found is not None:
            return found
        node = node.parent
    return None


def _names_around(node: Node | None, key: object) -> Iterator[str]:
    """Yield the names of what stands at *key*, and of the types of what holds it, from the inside out."""
    for _ in range(4):
        if isinstance(key, str):
            yield key
        if node is None:
            return
        kind = node.source.get("type") if isinstance(node.source, dict) else None
        if isinstance(kind, str):
            yield kind
        key, node = node.key, node.parent


def _is_binary(data: bytes) -> bool:
    head = data[:4_096]
    try:
        head.decode()
    except UnicodeDecodeError as exc:
        return exc.start < len(head) - 3  # the last character may be cut
    return "\0" in head.decode()


def _describe(raw: bytes, media_type: str) -> object:
    return {"media_type": media_type, "size": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}


def _joined(text: str) -> str:
    """Return base64 without the ends of its lines and the escapes of JSON and URLs."""
    if "\\" in text:
        text = text.replace("\\r", "").replace("\\n", "").replace("\\/", "/")
    return unquote(text) if "%" in text else text.replace("\r", "").replace("\n", "")


def _decode(data: str) -> bytes:
    """Return the bytes of base64 text of either alphabet; those of the text itself if it is none."""
    text = _joined(data).translate(_NOT_STANDARD) if data.isascii() else data
    text = text.rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return data.encode("utf-8", "replace")
