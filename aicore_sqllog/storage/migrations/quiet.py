"""
Alembic says at level INFO what it does, into the log of an application that did not ask: not on our threads.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet"]

_LOGGERS = ("alembic.runtime.plugins", "alembic.runtime.migration", "alembic.ddl.impl", "alembic.ddl.postgresql")
"""Those that speak when Alembic is imported, and when it makes a context."""


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Alembic's records of this thread out of the log; those of an application that migrates meanwhile go on."""
    own = threading.get_ident()

    def is_of_another_thread(_record: logging.LogRecord) -> bool:
        return threading.get_ident() != own

    loggers = [logging.getLogger(name) for name in _LOGGERS]
    for logger in loggers:
        logger.addFilter(is_of_another_thread)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(is_of_another_thread)
