"""
Keep LLM calls in your own SQL database, and read them back as Polars frames.

The names below are all there is. Each is imported when it is first used, so that ``import
aicore_sqllog`` costs an application neither SQLAlchemy nor Polars.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aicore_sqllog.async_reader import AsyncLogReader, apolars_from_db
    from aicore_sqllog.capture.session import llm_session
    from aicore_sqllog.collector import LlmOperationCollector
    from aicore_sqllog.delivery.stats import HandlerStats
    from aicore_sqllog.errors import ConfigurationError, DatabaseError, LogNotFoundError, SchemaError, SQLLogError
    from aicore_sqllog.handler import SQLLogHandler
    from aicore_sqllog.integrations.instrument import instrument, uninstrument
    from aicore_sqllog.operation import OperationScope, llm_operation
    from aicore_sqllog.process.signals import install_signal_handlers
    from aicore_sqllog.reader import LogReader, polars_from_db
    from aicore_sqllog.repricing import Recomputed, recompute
    from aicore_sqllog.retention import PruneResult, prune
    from aicore_sqllog.storage.models import LlmMessage, LlmOperation, LlmSession, metadata

__all__ = [
    "AsyncLogReader",
    "ConfigurationError",
    "DatabaseError",
    "HandlerStats",
    "LlmMessage",
    "LlmOperation",
    "LlmOperationCollector",
    "LlmSession",
    "LogNotFoundError",
    "LogReader",
    "OperationScope",
    "PruneResult",
    "Recomputed",
    "SQLLogError",
    "SQLLogHandler",
    "SchemaError",
    "apolars_from_db",
    "install_signal_handlers",
    "instrument",
    "llm_operation",
    "llm_session",
    "metadata",
    "polars_from_db",
    "prune",
    "recompute",
    "uninstrument",
]

__version__ = "0.1.0"

_HOMES = {
    "AsyncLogReader": "async_reader",
    "ConfigurationError": "errors",
    "DatabaseError": "errors",
    "HandlerStats": "delivery.stats",
    "LlmMessage": "storage.models",
    "LlmOperation": "storage.models",
    "LlmOperationCollector": "collector",
    "LlmSession": "storage.models",
    "LogNotFoundError": "errors",
    "LogReader": "reader",
    "OperationScope": "operation",
    "PruneResult": "retention",
    "Recomputed": "repricing",
    "SQLLogError": "errors",
    "SQLLogHandler": "handler",
    "SchemaError": "errors",
    "apolars_from_db": "async_reader",
    "install_signal_handlers": "process.signals",
    "instrument": "integrations.instrument",
    "llm_operation": "operation",
    "llm_session": "capture.session",
    "metadata": "storage.models",
    "polars_from_db": "reader",
    "prune": "retention",
    "recompute": "repricing",
    "uninstrument": "integrations.instrument",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
