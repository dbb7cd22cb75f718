"""The journal's format against every truncation and every flipped bit, and against a reader written from its text."""

import io
import random
import struct
import zlib

import pytest

from aicore_sqllog.journal.log_format import BLOCK_BYTES, Damage, frame, read_log

HEADER_BYTES = 7


def write(records: list[bytes]) -> tuple[bytes, list[tuple[int, int]]]:
    """Return the file of *records*, and from where to where each lies."""
    data, spans = b"", []
    for record in records:
        framed = frame(record, len(data))
        spans.append((len(data), len(data) + len(framed)))
        data += framed
    return data, spans


def read(data: bytes) -> tuple[list[bytes], list[Damage]]:
    found = list(read_log(io.BytesIO(data)))
    return [each for each in found if isinstance(each, bytes)], [each for each in found if isinstance(each, Damage)]


@pytest.fixture(scope="module")
def twenty() -> list[bytes]:
    rng = random.Random(20)
    return [bytes((number,)) + rng.randbytes(rng.randrange(1, 60)) for number in range(20)]


def test_records_of_all_sizes_come_back() -> None:
    edges = [BLOCK_BYTES * blocks + more for blocks in (0, 1, 2) for more in range(-2 * HEADER_BYTES, 2 * HEADER_BYTES)]
    records = [random.Random(size).randbytes(size) for size in edges if size >= 0] * 2
    data, _ = write(records)
    assert read(data) == (records, [])


@pytest.mark.parametrize("left", range(2 * HEADER_BYTES))
def test_a_record_may_begin_wherever_a_block_ends(left: int) -> None:
    records = [b"a" * (BLOCK_BYTES - HEADER_BYTES - left), b"b" * 100, b"", b"c"]
    data, _ = write(records)
    assert read(data) == (records, [])


def test_a_reader_that_knows_only_the_text_reads_the_same(twenty: list[bytes]) -> None:
    data, _ = write(twenty)
    at, found = 0, []
    while at < len(data):
        masked, length, kind = struct.unpack_from("<IHB", data, at)
        content = data[at + 7 : at + 7 + length]
        rotated = (masked - 0xA282EAD8) % 2**32
        assert ((rotated >> 17) | (rotated << 15)) % 2**32 == zlib.crc32(bytes((kind,)) + content)
        assert kind == 1
        found.append(content)
        at += 7 + length
    assert found == twenty


def test_every_truncation_keeps_what_is_whole(twenty: list[bytes]) -> None:
    data, spans = write(twenty)
    for end in range(len(data) + 1):
        records, damages = read(data[:end])
        assert records == [record for record, (_, last) in zip(twenty, spans, strict=True) if last <= end]
        assert bool(damages) == (end not in {0, *(last for _, last in spans)})
    print(f"{len(data) + 1} truncations tried")


def test_every_flipped_bit_costs_the_record_it_is_in(twenty: list[bytes]) -> None:
    data, spans = write(twenty)
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        records, damages = read(bytes(flipped))
        untouched = [r for r, (first, end) in zip(twenty, spans, strict=True) if not first <= bit // 8 < end]
        assert records == untouched, f"bit {bit}"
        assert len(damages) == 1, f"bit {bit}"
    print(f"{len(data) * 8} flipped bits tried")


def test_damage_to_a_record_of_many_blocks_costs_no_other() -> None:
    records = [b"a" * 100, random.Random(1).randbytes(5 * BLOCK_BYTES), b"b" * 100]
    data, spans = write(records)
    for at in range(spans[1][0], spans[1][1], 4_099):
        flipped = bytearray(data)
        flipped[at] ^= 0x10
        found, damages = read(bytes(flipped))
        assert found == [records[0], records[2]]
        assert damages
