"""
A sink for loguru: records that carry the fields of a call are logged, too.
"""

import logging
from collections.abc import Callable
from typing import Any

from aicore_sqllog.capture.fields import is_llm_record
from aicore_sqllog.capture.operation_record import AnyLogger
from aicore_sqllog.integrations.forward import forward

__all__ = ["loguru_sink"]


def loguru_sink(logger: AnyLogger) -> Callable[[Any], None]:
    """
    Return a sink that hands every record about a call of a model to *logger*, and lets the others pass.

    A record is one if what was bound, or given to the log call, are fields of a call, alone or under ``llm``. Its
    exception goes along. In ``logger.add(..., enqueue=True)`` the session around the call is not known.

    Args:
        logger: A logger, an adapter, or a logger's name.

    Example:
        >>> loguru.logger.add(loguru_sink(log))
        >>> loguru.logger.bind(model="m", response=answer).info("answered")
    """

    def sink(message: Any) -> None:
        record = message.record
        if is_llm_record(record["extra"]):
            raised = record["exception"]
            exc_info = None if raised is None else (raised.type, raised.value, raised.traceback)
            forward(logger, min(record["level"].no, logging.CRITICAL), record["message"], record["extra"], exc_info)

    return sink
