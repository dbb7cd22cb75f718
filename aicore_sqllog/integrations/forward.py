"""
A record of another logging library, logged once more where a handler stores it.
"""

import logging
from collections.abc import Mapping
from typing import Any

from aicore_sqllog.capture.fields import GROUP_KEY
from aicore_sqllog.capture.operation_record import AnyLogger

__all__ = ["forward"]


def forward(logger: AnyLogger, level: int, message: str, told: Mapping[str, Any], exc_info: Any) -> None:
    """Log *told*, the fields of a call and whatever else was bound, at *level*, unless *logger* does not want it."""
    extra: dict[str, Any] = dict(told)
    fields = extra.pop(GROUP_KEY, None)
    if isinstance(logger, logging.LoggerAdapter):
        extra = {**(logger.extra or {}), **extra}
        logger = logger.logger
    target = logging.getLogger(logger) if isinstance(logger, str) else logger
    group = {**extra, **fields} if isinstance(fields, Mapping) else extra
    target.log(level, "%s", message, extra={GROUP_KEY: group}, exc_info=exc_info)
