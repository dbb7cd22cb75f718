"""The sink of loguru and the processor of structlog: what is about a call is stored, and nothing else changes."""

import logging
from typing import Any

import loguru
import pytest
import structlog

from aicore_sqllog import llm_session
from aicore_sqllog.integrations.loguru import loguru_sink
from aicore_sqllog.integrations.structlog import structlog_processor
from tests.integrations.conftest import Stored

pytestmark = pytest.mark.backends("sqlite")
CALL = {"model": "m", "provider": "openai", "response": "Rome", "input_tokens": 3, "project": "maps"}


def fail() -> None:
    raise ValueError("no such city")


def check(rows: list[dict[str, Any]]) -> None:
    plain, grouped, failed = rows
    assert [(row["model"], row["input_tokens"]) for row in rows] == [("m", 3)] * 3
    assert (plain["extras"]["project"], plain["extras"]["sqllog"]["message"]) == ("maps", "answered 1")
    assert plain["extras"]["sqllog"]["level"] == "INFO"
    assert grouped["extras"]["request"] == 7, "what was bound beside the call stays with it"
    assert [row["status"] for row in rows] == ["success", "success", "error"]
    assert (failed["error_type"], failed["error_message"]) == ("ValueError", "no such city")
    assert {row["session_key"] for row in rows} == {"chat-42"}


def test_loguru(stored: Stored, log: logging.Logger) -> None:
    sink = loguru.logger.add(loguru_sink(log))
    try:
        with llm_session("chat-42"):
            loguru.logger.info("no call of a model")
            loguru.logger.bind(**CALL).info("answered {}", 1)
            loguru.logger.bind(llm=CALL, request=7).info("answered")
            try:
                fail()
            except ValueError:
                loguru.logger.bind(**CALL).exception("failed")
    finally:
        loguru.logger.remove(sink)

    check(stored())


def test_structlog(stored: Stored, log: logging.Logger) -> None:
    seen: list[Any] = []

    def keep(_: Any, __: str, event: Any) -> str:
        seen.append(dict(event))
        return ""

    structlog.configure(processors=[structlog_processor(log), keep], logger_factory=structlog.ReturnLoggerFactory())
    try:
        logger = structlog.get_logger()
        with llm_session("chat-42"):
            logger.info("no call of a model")
            logger.info("answered 1", **CALL)
            logger.bind(request=7).info("answered", llm=CALL)
            try:
                fail()
            except ValueError:
                logger.exception("failed", **CALL)
    finally:
        structlog.reset_defaults()

    check(stored())
    assert [event["event"] for event in seen] == ["no call of a model", "answered 1", "answered", "failed"]
    assert seen[1] == {"event": "answered 1", **CALL}
