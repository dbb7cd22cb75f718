"""What would pass in silence while a handler waits for it is told once, with the remedy."""

import logging
import weakref

import pytest

from aicore_sqllog import SQLLogHandler, llm_operation
from aicore_sqllog.capture import silence
from aicore_sqllog.process import end
from tests.conftest import MakeHandler

pytestmark = pytest.mark.backends("sqlite")


@pytest.fixture(autouse=True)
def _nothing_told_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "_told", set())


@pytest.fixture
def heard(make_handler: MakeHandler) -> list[tuple[str, str]]:
    """What a handler that lives is given to say."""
    told: list[tuple[str, str]] = []
    handler = make_handler(on_notice=lambda reason, text: told.append((reason, text)))
    assert isinstance(handler, SQLLogHandler)
    return told


def test_a_logger_that_is_not_enabled_is_told_once(log: logging.Logger, heard: list[tuple[str, str]]) -> None:
    log.setLevel(logging.WARNING)
    for _ in range(3):
        with llm_operation(log, provider="p", model="m") as op:
            op.record("an answer")
    ((reason, text),) = heard
    assert reason == f"not enabled {log.name}"
    assert "setLevel(logging.INFO)" in text
    with pytest.raises(ValueError, match="seen"), llm_operation(log, provider="p", model="m"):
        raise ValueError("seen, because it is an error")
    assert len(heard) == 1


def test_a_call_without_an_outcome_is_told_once(log: logging.Logger, heard: list[tuple[str, str]]) -> None:
    for _ in range(3):
        with llm_operation(log, provider="p", model="the-model", messages="a question that is nobody's business"):
            pass
    ((reason, text),) = heard
    assert reason == "nothing recorded"
    assert "op.record(response)" in text
    assert "the-model" in text
    assert "business" not in text


def test_what_has_an_outcome_or_needs_none_is_no_news(log: logging.Logger, heard: list[tuple[str, str]]) -> None:
    with llm_operation(log, provider="p", model="m") as op:
        op.record("an answer")
    with llm_operation(log, provider="p", model="m", input_tokens=3):
        pass
    with llm_operation(log, provider="p", model="m") as op:
        list(op.stream(iter("chunks")))
    with llm_operation(log, operation_type="agent", model="m"), llm_operation(log, model="m") as op:
        op.set(output_tokens=3)
    with llm_operation(log, model="m"), llm_operation(log, model="m") as op:
        op.record("the answer of the one inside")
    with llm_operation(log):
        pass
    with pytest.raises(TimeoutError), llm_operation(log, provider="p", model="m"):
        raise TimeoutError
    assert heard == []


def test_where_no_handler_lives_nothing_is_said(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(end, "_LIVE", weakref.WeakSet())  # other tests may have left some
    logger = logging.Logger("nobody", logging.ERROR)
    with llm_operation(logger, provider="p", model="m"):
        pass
    assert capfd.readouterr().err == ""
