"""Every record that a test of capture makes is made both ways."""

import pytest

from tests.support.both_ways import both_ways

__all__ = ["both_ways"]


@pytest.fixture(autouse=True)
def _both_ways(both_ways: object) -> None:
    """Compare them."""
