"""What is said to a person: where it is said, how often, and that saying it harms nobody."""

import logging
from pathlib import Path

import pytest

from aicore_sqllog import ConfigurationError
from aicore_sqllog.process.notices import Notices
from tests.conftest import MakeHandler

NOWHERE = "sqlite:////no/such/folder/llm.db"
ONE = {"provider": "p", "model": "m"}
heard: list[tuple[str, str]] = []


def hear(reason: str, text: str) -> None:
    """Named by its path in a test."""
    heard.append((reason, text))


def test_a_function_hears_what_would_be_written_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    said: list[tuple[str, str]] = []
    notices = Notices(lambda reason, text: said.append((reason, text)))

    assert [notices.say("cause", "one"), notices.say("cause", "two"), notices.say("other", "three")] == [
        True,
        False,
        True,
    ]
    assert said == [("cause", "one"), ("other", "three")]
    assert capfd.readouterr().err == ""


@pytest.mark.backends("sqlite")
@pytest.mark.parametrize("on_notice", ["tests.process.test_notices:hear", "off", None])
def test_the_option_says_where(
    on_notice: str | None, make_handler: MakeHandler, log: logging.Logger, capfd: pytest.CaptureFixture[str]
) -> None:
    heard.clear()
    handler = make_handler(NOWHERE, shutdown_timeout=0.1, on_notice=on_notice)
    log.info("call", extra=ONE)
    handler.flush(0.5)

    assert ("1 record is waiting" in capfd.readouterr().err) == (on_notice is None)
    assert [reason for reason, _ in heard] == (["write misconfigured"] if on_notice not in (None, "off") else [])


@pytest.mark.backends("sqlite")
def test_a_function_that_fails_or_logs_harms_nobody(make_handler: MakeHandler, log: logging.Logger) -> None:
    def fail(reason: str, text: str) -> None:
        log.info("about " + reason, extra=ONE)
        raise ValueError(text)

    handler = make_handler(NOWHERE, shutdown_timeout=0.1, on_notice=fail)
    log.info("call", extra=ONE)

    assert handler.flush(0.5) is False
    assert handler.stats().pending == 1


@pytest.mark.parametrize("on_notice", ["nowhere:at_all", 3])
def test_what_cannot_be_called_is_refused(on_notice: object, make_handler: MakeHandler, path: Path, url: str) -> None:
    with pytest.raises(ConfigurationError, match="on_notice"):
        make_handler(on_notice=on_notice)
