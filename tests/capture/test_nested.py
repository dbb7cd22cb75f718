"""Records of loguru and structlog: what was bound is found where these libraries put it."""

import logging
from typing import Any

import pytest

from aicore_sqllog import LogReader
from aicore_sqllog.capture.snapshot import take_bare_snapshot, take_snapshot
from aicore_sqllog.values.freeze import thaw
from tests.conftest import MakeHandler

FIELDS = {"provider": "openai", "model": "gpt-4o", "input_tokens": 5, "team": "red"}


def record(message: object = "answered", **attributes: Any) -> logging.LogRecord:
    return logging.makeLogRecord({"name": "app", "levelno": 20, "levelname": "INFO", "msg": message, **attributes})


SHAPES = {
    "loguru, bind(**fields)": record(extra=FIELDS),
    "loguru, bind(llm=fields)": record(extra={"llm": FIELDS}),
    "structlog, wrap_for_formatter": record({"event": "answered", "level": "info", **FIELDS}, _logger=None, _name="n"),
    "structlog, wrap_for_formatter, grouped": record({"event": "answered", "llm": FIELDS}),
}


@pytest.mark.backends("sqlite")
@pytest.mark.parametrize("shape", SHAPES)
def test_the_fields_are_found(shape: str, url: str, make_handler: MakeHandler) -> None:
    handler = make_handler()
    handler.handle(SHAPES[shape])

    assert handler.flush()
    (row,) = LogReader(url).operations(decode_json=True).to_dicts()
    assert (row["provider"], row["model"], row["input_tokens"]) == ("openai", "gpt-4o", 5)
    assert row["extras"]["team"] == "red"
    assert row["extras"]["sqllog"]["message"] == "answered"


@pytest.mark.parametrize("shape", ["extra", "msg"])
def test_a_record_that_cannot_be_taken_keeps_its_wish(shape: str) -> None:
    """Where the fields stand must not matter for whether texts are stored."""
    fields = {**FIELDS, "capture_content": False}
    made = record(extra=fields) if shape == "extra" else record({"event": "answered", **fields})

    bare = take_bare_snapshot(made, ValueError("no"))

    (found,) = thaw(bare.values)
    assert isinstance(found, dict)
    assert found["capture_content"] is False


@pytest.mark.parametrize(
    "other",
    [
        record(extra={"request": 1}),
        record(extra="text"),
        record({"event": "started", "model": "x"}),
        record({1: 2}),
        record(extra={"name": "app", "args": ()}),
    ],
)
def test_what_is_not_about_a_model_passes_by(other: logging.LogRecord) -> None:
    assert take_snapshot(other) is None


@pytest.mark.backends("sqlite")
def test_with_the_libraries_themselves(url: str, make_handler: MakeHandler, log: logging.Logger) -> None:
    loguru = pytest.importorskip("loguru")
    structlog = pytest.importorskip("structlog")
    handler = make_handler()
    sink = loguru.logger.add(handler, format="{message}")
    try:
        loguru.logger.bind(**FIELDS).info("answered")
    finally:
        loguru.logger.remove(sink)
    structlog.configure(
        processors=[structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    try:
        structlog.get_logger(log.name).info("answered", **FIELDS)
    finally:
        structlog.reset_defaults()

    assert handler.flush()
    assert LogReader(url).count(model="gpt-4o") == 2
