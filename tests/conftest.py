"""Fixtures: a fresh database, a logger of the test's own, and the shared traffic."""

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aicore_sqllog import SQLLogHandler
from aicore_sqllog.capture.privacy import OTEL_VARIABLE, OWN_VARIABLE
from aicore_sqllog.delivery.service import DeliveryService
from aicore_sqllog.process.end import _LIVE
from aicore_sqllog.querying import source
from tests.support import requirements
from tests.support.servers import ASYNCHRONOUS_ALONE, BACKENDS, drop_database, drop_emptied, new_database

ROOT = Path(__file__).resolve().parent.parent
REPORT: list[str] = []
"""Lines that a test has measured; they end the run's output."""

ON_SERVERS = tuple(backend for backend in BACKENDS if backend != "sqlite")
MakeHandler = Callable[..., SQLLogHandler]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("CONNECTION_STRING", "ASYNC_CONNECTION_STRING", OWN_VARIABLE, OTEL_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that takes ``url`` on every database; one that takes ``path`` too is about SQLite's file."""
    if "url" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("backends")
        backends = marker.args if marker else ["sqlite"] if "path" in metafunc.fixturenames else list(BACKENDS)
        metafunc.parametrize("url", backends, indirect=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs on a server, so that ``-m "not server"`` leaves it out."""
    for item in items:
        parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        if any(value in ON_SERVERS for value in parameters.values()):
            item.add_marker(pytest.mark.server)


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a new database."""
    backend: str = request.param
    if backend == "sqlite":
        yield f"sqlite:///{tmp_path / 'llm.db'}"
        return
    found = new_database(backend)
    if found is None:
        message = f"there is no server for {backend}: start one, or name it in AICORE_SQLLOG_TEST_MYSQL"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    if backend in ASYNCHRONOUS_ALONE:
        monkeypatch.setattr("aicore_sqllog.storage.engines.choose", lambda url, asynchronous: None)
    yield found.render_as_string(hide_password=False)
    source.close_all()
    drop_database(found)


@pytest.fixture(autouse=True)
def _quiet_afterwards(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a handler whose records still wait when its test ends say nothing into the output of others."""
    yield
    for service in list(_LIVE):
        assert isinstance(service, DeliveryService)
        if service.stats().pending:
            service._notices.say = lambda reason, text: True  # type: ignore[method-assign]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file behind ``url``, in a test that is about SQLite alone."""
    return tmp_path / "llm.db"


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


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Drop the databases that were kept; where several processes run the tests, send on what was measured."""
    drop_emptied()
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["report"] = REPORT


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    REPORT.extend(getattr(node, "workeroutput", {}).get("report", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in [*REPORT, *(requirements.table() if is_whole_run(config) else ())]:
        terminalreporter.write_line(line)


def is_whole_run(config: pytest.Config) -> bool:
    """Tell whether every test was asked for: no file, no expression, no marker but the usual."""
    chosen = config.getoption("file_or_dir") or config.getoption("keyword")
    return not chosen and config.getoption("markexpr") == "not long"
