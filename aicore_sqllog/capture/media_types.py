"""
The type of media by how the data begins ("magic bytes"), as bytes or as base64.
"""

import base64
import binascii
import re

__all__ = ["is_varied", "type_of_base64", "type_of_bytes"]

_BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
    (b"\x1aE\xdf\xa3", "video/webm"),
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/msword"),
)
"""How data of a type begins."""

_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_BRANDS = {b"avif": "image/avif", b"heic": "image/heic", b"mif1": "image/heic", b"M4A ": "audio/mp4"}

_WEAK = {b"\xff\xfb": "audio/mpeg", b"\xff\xf3": "audio/mpeg", b"\xff\xf1": "audio/aac"}
"""Two bytes are few: base64 of ``//vendor/…`` begins so. Only what is long and well mixed is believed to be this."""

_SHORTEST = 64
_SHORTEST_WEAK = 1_024
_HEAD = re.compile(r"[A-Za-z0-9+/_-]{64}", re.ASCII)
_STANDARD = str.maketrans("-_", "+/")


def type_of_bytes(data: bytes) -> str | None:
    """Return the media type of *data* by its beginning; None where it bears no mark."""
    if len(data) < _SHORTEST // 2:
        return None
    for beginning, media_type in _BEGINNINGS:
        if data.startswith(beginning):
            return media_type
    if data.startswith(b"RIFF"):
        return _RIFF.get(data[8:12])
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "video/mp4")
    if data.startswith(b"BM") and data[6:10] == b"\0\0\0\0":
        return "image/bmp"
    return _WEAK.get(data[:2])


def type_of_base64(text: str) -> str | None:
    """Return the media type of what *text* is in base64; None where it is none, or bears no mark."""
    if len(text) < _SHORTEST or not _HEAD.match(text):
        return None
    try:
        head = base64.b64decode(text[:_SHORTEST].translate(_STANDARD))
    except (binascii.Error, ValueError):
        return None
    is_weak = head[:2] in _WEAK
    return None if is_weak and (len(text) < _SHORTEST_WEAK or not is_varied(text)) else type_of_bytes(head)


def is_varied(text: str) -> bool:
    """Whether the characters of *text* are as mixed as those of base64 are, and those of a long word are not."""
    sample = text[:2_048]
    kinds = (str.isupper, str.islower, str.isdigit)
    return len(set(sample)) >= 32 and all(any(map(kind, sample)) for kind in kinds)
