"""The queue and its ring, with no database: bytes come back as they were, in order, and memory is given back."""

import ctypes
import mmap
import sys
from collections import deque
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aicore_sqllog.batching import packed_memory as memory_module
from aicore_sqllog.batching import queue as queue_module
from aicore_sqllog.batching.packed_memory import PackedMemory, Span
from aicore_sqllog.batching.queue import BoundedQueue

PAGE = mmap.PAGESIZE


class Parcel(NamedTuple):
    """An item: a name, and a packed part that may be with it."""

    name: int
    packed: bytes


class Parcels:
    """Knows parcels; those with an even name have a lighter form."""

    def lighten(self, parcel: Parcel) -> tuple[Parcel, int] | None:
        if parcel.name % 7 == 0:
            raise ValueError("this one cannot be read")
        return None if parcel.name % 2 else (Parcel(parcel.name, b"light"), 5)

    def unload(self, parcel: Parcel) -> tuple[Parcel, bytes] | None:
        return Parcel(parcel.name, b""), parcel.packed

    def load(self, parcel: Parcel, packed: bytes) -> Parcel:
        return Parcel(parcel.name, packed)


def filled(number: int, length: int) -> bytes:
    return bytes([number % 251]) * length


@settings(max_examples=300, deadline=None)
@given(st.data(), st.integers(1, 40), st.sampled_from([1, 2, 3, 8]))
def test_packed_memory_gives_back_what_it_was_given_whatever_was_given_back_to_the_system(
    data: st.DataObject, pages: int, released_pages: int
) -> None:
    """Against a deque: no piece of memory is given back, or given to another, while it is used."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory_module, "_RELEASED_AT_ONCE", released_pages * PAGE)
        memory = PackedMemory(pages * PAGE)
        model: deque[tuple[Span, bytes]] = deque()
        for number in range(data.draw(st.integers(1, 60))):
            pops: bool = data.draw(st.booleans())
            if pops and model:
                span, expected = model.popleft()
                assert memory.pop(span) == expected
            piece = filled(number + 1, data.draw(st.integers(1, pages * PAGE + 1)))
            placed = memory.put(piece)
            if placed is not None:
                model.append((placed, piece))
            assert sum(len(piece) for _, piece in model) <= pages * PAGE
        for span, expected in model:
            assert memory.pop(span) == expected


def test_packed_memory_takes_what_fits_in_one_piece_and_goes_round() -> None:
    memory = PackedMemory(100)
    assert memory.put(b"x" * 101) is None
    first, second = memory.put(b"a" * 60), memory.put(b"b" * 40)
    assert (first, second) == ((0, 60), (60, 100))
    assert memory.put(b"c") is None
    assert first is not None
    assert second is not None
    assert memory.pop(first) == b"a" * 60
    third = memory.put(b"c" * 60)
    assert third == (0, 60)
    assert memory.put(b"d") is None, "round to the oldest, and full"
    assert memory.pop(second) == b"b" * 40
    assert memory.pop(third) == b"c" * 60


def resident_bytes(memory: PackedMemory) -> int:
    """Return how much of the ring the system has memory for now (Linux)."""
    assert memory._memory is not None
    view = memoryview(memory._memory)
    address = ctypes.addressof(ctypes.c_char.from_buffer(view))
    pages = (ctypes.c_ubyte * (memory._capacity // PAGE))()
    assert ctypes.CDLL(None).mincore(ctypes.c_void_p(address), ctypes.c_size_t(memory._capacity), pages) == 0
    return sum(page & 1 for page in pages) * PAGE


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
def test_the_memory_of_what_has_left_is_given_back() -> None:
    memory = PackedMemory(13 * 1024**2)
    spans = [memory.put(b"x" * 10_000) for _ in range(1300)]
    assert resident_bytes(memory) > 12 * 1024**2
    for span in spans[:1000]:
        assert span is not None
        memory.pop(span)
    assert resident_bytes(memory) < 3_000_000 + 2 * memory_module._RELEASED_AT_ONCE
    for span in spans[1000:]:
        assert span is not None
        memory.pop(span)
    assert resident_bytes(memory) <= memory_module._RELEASED_AT_ONCE


def test_where_no_memory_can_be_had_nothing_fits_and_the_queue_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_named: object) -> None:
        raise OSError("cannot allocate memory")

    monkeypatch.setattr(mmap, "mmap", refuse)
    queue = BoundedQueue(1000, 10_000, Parcels())
    for number in range(9):
        queue.put(number, 1000, 0.0, Parcel(number, filled(number, 1000)))
    assert [entry.item.packed for entry in queue.take(1000, 10**9)] == [filled(number, 1000) for number in range(9)]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_items_leave_in_order_as_they_came_or_lighter_and_the_bytes_add_up(data: st.DataObject) -> None:
    queue = BoundedQueue(200, 50_000, Parcels())
    waiting = deque[tuple[int, int]]()
    """Name and packed size of each."""
    for name in range(1, data.draw(st.integers(1, 120))):
        size = data.draw(st.sampled_from([5, 600, 2_000, 30_000]))
        queue.lighten_for(size)
        if queue.is_full_for(size):
            assert queue.pop().item.name == waiting.popleft()[0]
        queue.put(name, size, 0.0, Parcel(name, filled(name, size)))
        waiting.append((name, size))
        for entry in queue.take(data.draw(st.integers(0, 2)), 10**9):
            expected, size = waiting.popleft()
            assert entry.item.name == expected
            assert entry.item.packed == (b"light" if entry.size == 5 and size != 5 else filled(expected, size))
        assert len(queue) == len(waiting)
    left = queue.take(10**9, 10**9)
    assert [entry.item.name for entry in left] == [name for name, _ in waiting]
    assert queue.bytes == 0


def test_what_cannot_be_made_lighter_stays_and_what_is_done_at_once_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_module, "_MOST_LIGHTENED_AT_ONCE", 4)
    queue = BoundedQueue(1000, 10_000, Parcels())
    for name in range(10):
        queue.put(name, 1000, 0.0, Parcel(name, filled(name, 1000)))
    assert queue.lighten_for(10_000) == 1, "0 cannot be read, 1 and 3 have no lighter form, 2 has"
    assert queue.lighten_for(10_000) == 2
    assert [len(entry.item.packed) for entry in queue.take(8, 10**9)] == [1000, 1000, 5, 1000, 5, 1000, 5, 1000]
