"""
A processor for structlog: events that carry the fields of a call are logged, too.
"""

import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any

from aicore_sqllog.capture.fields import is_llm_record
from aicore_sqllog.capture.operation_record import AnyLogger
from aicore_sqllog.integrations.forward import forward

__all__ = ["structlog_processor"]

_LEVELS = {"exception": logging.ERROR, "warn": logging.WARNING, "msg": logging.INFO, "fatal": logging.CRITICAL}


def structlog_processor(logger: AnyLogger) -> Callable[[Any, str, Any], Any]:
    """
    Return a processor that hands every event about a call of a model to *logger*; each event goes on as it was.

    Put it before those that render, and after ``merge_contextvars`` where that is used. Loggers of structlog that
    write to *logger* themselves need it not: their records are read as they are.

    Args:
        logger: A logger, an adapter, or a logger's name.

    Example:
        >>> structlog.configure(processors=[structlog_processor(log), structlog.dev.ConsoleRenderer()])
    """

    def process(_: Any, method: str, event: Any) -> Any:
        if isinstance(event, Mapping) and is_llm_record(event):
            told = {name: item for name, item in event.items() if name not in ("event", "exc_info", "level")}
            level = _LEVELS.get(method) or logging.getLevelName(method.upper())
            level = level if isinstance(level, int) else logging.INFO
            forward(logger, level, str(event.get("event", "")), told, _raised(event.get("exc_info")))
        return event

    return process


def _raised(exc_info: Any) -> Any:
    if isinstance(exc_info, BaseException):
        return type(exc_info), exc_info, exc_info.__traceback__
    if isinstance(exc_info, tuple):
        return exc_info
    return sys.exc_info() if exc_info else None
