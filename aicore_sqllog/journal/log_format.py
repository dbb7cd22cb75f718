"""
LevelDB's log format: records in a file, each with a checksum, so that damage costs the records that it touches.

A file is a sequence of blocks of 32 KiB. A record lies in them as one fragment, FULL, or as FIRST, MIDDLE ... and LAST.
A fragment never crosses the end of a block; where fewer than 7 bytes are left in one, they are zeros. A fragment is::

    checksum  4 bytes  of kind and data, masked, little-endian
    length    2 bytes  of the data, little-endian
    kind      1 byte   FULL 1, FIRST 2, MIDDLE 3, LAST 4
    data      length bytes

The format is that of https://github.com/google/leveldb/blob/main/doc/log_format.md, but for one thing: the checksum is
the CRC-32 of zlib, which comes with Python, in the place of CRC-32C, which does not; it is masked as there. Knows
nothing of what the records are, and of no file system.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple
from zlib import crc32

__all__ = ["BLOCK_BYTES", "Damage", "frame", "read_log"]

BLOCK_BYTES = 32 * 1024

_HEADER = struct.Struct("<IHB")
_HEADER_BYTES = _HEADER.size
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_KINDS = [bytes((kind,)) for kind in range(_LAST + 1)]
_CHECKSUMS_OF_KINDS = [crc32(kind) for kind in _KINDS]
_MASK_DELTA = 0xA282EAD8
_ALL_BITS = 0xFFFFFFFF


class Damage(NamedTuple):
    """Bytes that hold no whole record: so many from *offset* on, and why."""

    offset: int
    bytes: int
    reason: str


def frame(record: bytes, position: int) -> bytes:
    """Return *record* as it is appended to a file of *position* bytes."""
    room = BLOCK_BYTES - position % BLOCK_BYTES
    if len(record) + _HEADER_BYTES <= room:
        return _fragment(_FULL, record)
    return b"".join(_fragments(record, room))


def read_log(file: BinaryIO) -> Iterator[bytes | Damage]:
    """
    Yield the records of *file* in order, and where damage lies between them; a block at a time is in memory.

    Of a fragment whose checksum is wrong the length may be wrong too: reading goes on at the next bytes of the block
    that are a fragment with its checksum.
    """
    parts: list[bytes] = []
    offset = 0
    while block := file.read(BLOCK_BYTES):
        for found in _read_block(block, offset):
            if isinstance(found, Damage):
                parts = []
                yield found
                continue
            kind, data = found
            if kind in (_FULL, _FIRST) and parts:
                yield Damage(offset, sum(map(len, parts)), "a record has no end")
                parts = []
            if kind in (_MIDDLE, _LAST) and not parts:
                yield Damage(offset, len(data), "a record has no beginning")
                continue
            parts.append(data)
            if kind in (_FULL, _LAST):
                yield b"".join(parts)
                parts = []
        offset += len(block)
    if parts:
        yield Damage(offset, sum(map(len, parts)), "the last record has no end")


def _fragments(record: bytes, room: int) -> Iterator[bytes]:
    start, is_first = 0, True
    while True:
        if room < _HEADER_BYTES:
            yield b"\0" * room
            room = BLOCK_BYTES
        end = min(len(record), start + room - _HEADER_BYTES)
        is_last = end == len(record)
        kind = (_FULL if is_first else _LAST) if is_last else (_FIRST if is_first else _MIDDLE)
        yield _fragment(kind, record[start:end])
        if is_last:
            return
        start, room, is_first = end, BLOCK_BYTES, False


def _fragment(kind: int, data: bytes) -> bytes:
    return _HEADER.pack(_checksum(kind, data), len(data), kind) + data


def _checksum(kind: int, data: bytes) -> int:
    found = crc32(data, _CHECKSUMS_OF_KINDS[kind])
    return (((found >> 15) | (found << 17)) + _MASK_DELTA) & _ALL_BITS


def _read_block(block: bytes, offset: int) -> Iterator[tuple[int, bytes] | Damage]:
    """Yield the fragments of *block*, which begins at *offset* of its file, as kind and data."""
    at = 0
    while len(block) - at >= _HEADER_BYTES:
        found = _read_fragment(block, at)
        if found is not None:
            yield found
            at += _HEADER_BYTES + len(found[1])
            continue
        if not any(block[at:]):
            return  # an end that was never written
        following = _find_fragment(block, at + 1)
        yield Damage(offset + at, following - at, "a checksum is wrong")
        at = following
    if any(block[at:]):
        yield Damage(offset + at, len(block) - at, "a fragment is cut off")


def _read_fragment(block: bytes, at: int) -> tuple[int, bytes] | None:
    checksum, length, kind = _HEADER.unpack_from(block, at)
    data = block[at + _HEADER_BYTES : at + _HEADER_BYTES + length]
    if not _FULL <= kind <= _LAST or len(data) != length or _checksum(kind, data) != checksum:
        return None
    return kind, data


def _find_fragment(block: bytes, start: int) -> int:
    """Return where the next whole fragment of *block* begins from *start* on; the end of the block where none does."""
    for at in range(start, len(block) - _HEADER_BYTES + 1):
        # The kind, and a length that fits, are cheap to look at; a checksum is taken of few.
        if _FULL <= block[at + 6] <= _LAST and _read_fragment(block, at) is not None:
            return at
    return len(block)
