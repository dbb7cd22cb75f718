"""Kept readers: the most recently used ones stay, those that go are closed, and threads get the same one."""

import asyncio
import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from aicore_sqllog import apolars_from_db, polars_from_db
from aicore_sqllog.querying.reader_cache import ReaderCache
from aicore_sqllog.storage.connection import Place, resolve
from tests.conftest import MakeHandler


def _places(count: int) -> list[Place]:
    return [resolve(f"sqlite:////tmp/{number}.db") for number in range(count)]


def test_the_one_that_was_not_used_for_longest_goes() -> None:
    made: list[Place] = []
    dropped: list[Place] = []
    a, b, c = _places(3)

    def make(place: Place) -> Place:
        made.append(place)
        return place

    cache = ReaderCache(make, dropped.append, size=2)
    for place in (a, b, a, c, a, b):
        assert cache.get(place) is place
    assert made == [a, b, c, b]
    assert dropped == [b, c]


def test_the_reader_that_is_asked_for_is_never_the_one_that_goes() -> None:
    dropped: list[Place] = []
    cache = ReaderCache(lambda place: place, dropped.append, size=1)
    for place in _places(3):
        assert cache.get(place) is place
        assert place not in dropped


def test_threads_that_ask_at_once_get_one_reader() -> None:
    made: list[object] = []
    (place,) = _places(1)
    together = threading.Barrier(8)

    def make(place: Place) -> object:
        made.append(object())
        return made[-1]

    cache = ReaderCache(make, lambda reader: None)

    def get(_: int) -> object:
        together.wait()
        return cache.get(place)

    with ThreadPoolExecutor(8) as pool:
        assert len({id(reader) for reader in pool.map(get, range(8))}) == 1
    assert len(made) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_forked_while_another_thread_is_inside_can_ask() -> None:
    inside, go_on = threading.Event(), threading.Event()
    a, b = _places(2)

    def make(place: Place) -> Place:
        if place == a:
            inside.set()
            go_on.wait(30)
        return place

    cache = ReaderCache(make, lambda reader: None)
    thread = threading.Thread(target=cache.get, args=(a,))
    thread.start()
    assert inside.wait(30)
    child = os.fork()
    if child == 0:
        os._exit(0 if cache.get(b) == b else 1)
    go_on.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.backends("sqlite")
def test_more_logs_than_are_kept_are_read_in_turn(make_handler: MakeHandler, url: str) -> None:
    handlers = [make_handler(url.replace("llm.db", f"{number}.db")) for number in range(20)]
    for number, handler in enumerate(handlers):
        handler.handle(_record(number))
        assert handler.flush()
    for _ in range(2):
        for number in range(20):
            one = url.replace("llm.db", f"{number}.db")
            assert polars_from_db(one)["input_tokens"].to_list() == [number]
            assert asyncio.run(apolars_from_db(one))["input_tokens"].to_list() == [number]


def _record(number: int) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": "m", "llm": {"input_tokens": number}})
