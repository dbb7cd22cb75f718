"""Fixtures: a fresh database, a logger of the test's own, and the shared traffic."""

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aicore_sqllog import SQLLogHandler
from aicore_sqllog.capture.privacy import OTEL_VARIABLE, OWN_VARIABLE

ROOT = Path(__file__).resolve().parent.parent
MakeHandler = Callable[..., SQLLogHandler]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("CONNECTION_STRING", "ASYNC_CONNECTION_STRING", OWN_VARIABLE, OTEL_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "llm.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """A logger that hands everything to its own handlers only, which are closed afterwards."""
    logger = logging.getLogger("test.llm")
    logger.setLevel(1)
    logger.propagate = False
    yield logger
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


@pytest.fixture
def make_handler(log: logging.Logger, url: str) -> MakeHandler:
    """Makes a handler on the test's database, attached to ``log``. Time alone brings no row: flush must."""

    def make(connection: Any = url, **options: Any) -> SQLLogHandler:
        handler = SQLLogHandler(connection, **{"flush_interval": 3600, "shutdown_timeout": 30, **options})
        log.addHandler(handler)
        return handler

    return make


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of shared traffic, beside the checkout; in CI it must be there."""
    folder = Path(os.environ.get("AICORE_SQLLOG_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        message = f"the shared traffic is not at {folder}; name its folder in AICORE_SQLLOG_TEST_DATA"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder
