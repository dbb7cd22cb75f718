"""What the tests of the frameworks share: real recordings, served on this machine, and the rows that are left."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aicore_sqllog import polars_from_db
from tests.conftest import MakeHandler
from tests.support.recordings import RECORDING_HEADER, Recording, recordings, served

Stored = Callable[[], list[dict[str, Any]]]

RECORDED = {
    "a8f55f226e47adc8": "chat",
    "7b2f0243d51d900d": "chat stream",
    "35c5742c1e8bd684": "chat tools stream",
    "ea01d3ff37e70933": "chat tools",
    "557d2c9d3ff49f15": "chat failure",
    "6ea62829a45388e3": "message",
    "74f4735eadd47a00": "message stream",
    "b99cf519465a2ff9": "message tools stream",
    "7a0b1fffa8e37cd3": "message tools",
    "dc133f4b96b84019": "message failure",
}


@pytest.fixture(scope="session")
def recorded(data: Path) -> dict[str, Recording]:
    """The recordings that the frameworks are answered with, by what they are."""
    found = {RECORDED[each.id]: each for each in recordings(data) if each.id in RECORDED}
    assert found.keys() == set(RECORDED.values())
    return found


@pytest.fixture(scope="module")
def answers(recorded: dict[str, Recording]) -> Iterator[str]:
    """The URL of a server that answers with the recording that a request names."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("NO_PROXY", "*")
        with served(recorded) as url:
            yield url


def wants(name: str) -> dict[str, str]:
    """The headers that make the server answer with the recording *name*."""
    return {RECORDING_HEADER: name}


@pytest.fixture
def stored(make_handler: MakeHandler, url: str) -> Stored:
    """Return the rows that are stored by now, in the order of their ids, which is that of their beginnings."""
    handler = make_handler()

    def read() -> list[dict[str, Any]]:
        assert handler.flush(30)
        return polars_from_db(url, include_messages=True, decode_json=True, order_by="operation_id").to_dicts()

    return read
