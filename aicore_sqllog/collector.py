"""
LlmOperationCollector: the documented names over the two doors.
"""

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

from aicore_sqllog.async_reader import apolars_from_db
from aicore_sqllog.capture.fields import require_fields
from aicore_sqllog.handler import SQLLogHandler
from aicore_sqllog.process import hooks
from aicore_sqllog.reader import polars_from_db
from aicore_sqllog.values.ids import mint

if TYPE_CHECKING:
    from aicore_sqllog.storage.connection import Connection

__all__ = ["LlmOperationCollector"]

_LOGGER_NAME = "aicore_sqllog.collector"


class LlmOperationCollector:
    """
    Record and read LLM operations without a logging configuration; all methods are static.

    ``record_completion`` hands a record to a handler for the same connection, which it makes at
    the first call and keeps; ``polars_from_db`` is :func:`aicore_sqllog.polars_from_db`.
    """

    polars_from_db = staticmethod(polars_from_db)
    apolars_from_db = staticmethod(apolars_from_db)

    @staticmethod
    def record_completion(connection: "Connection | None" = None, **fields: Any) -> str:
        """
        Take a record of one call of a model, and return its ``operation_id`` at once.

        It is stored by the handler's thread, within a second or at the end of the process.
        :meth:`flush` waits for that.

        Args:
            connection: As for :class:`SQLLogHandler`.

            fields: The fields of a record, such as ``provider model messages response
                input_tokens output_tokens latency_ms cost extras``.

        Raises:
            TypeError: If a field is unknown; the message names the nearest.
            ConfigurationError: If the connection cannot work.
        """
        return _record(_handler_for(connection), fields)

    @staticmethod
    async def arecord_completion(connection: "Connection | None" = None, **fields: Any) -> str:
        """Do what :meth:`record_completion` does; the handler is made beside the event loop."""
        handler = await asyncio.to_thread(_handler_for, connection)
        return _record(handler, fields)

    @staticmethod
    def flush(connection: "Connection | None" = None, timeout: float | None = None) -> bool:
        """Wait until what was recorded before is stored; see :meth:`SQLLogHandler.flush`."""
        return _handler_for(connection).flush(timeout)


_HANDLERS: dict[object, SQLLogHandler] = {}
_HANDLERS_LOCK = threading.Lock()


def _renew_lock_in_child() -> None:
    global _HANDLERS_LOCK
    _HANDLERS_LOCK = threading.Lock()  # a thread of the parent may have held it, which does not exist here


hooks.in_child(hooks.Child.STATE, _renew_lock_in_child)


def _handler_for(connection: "Connection | None") -> SQLLogHandler:
    from aicore_sqllog.storage.connection import resolve

    place = resolve(connection)
    key: object = place.url if place.borrowed is None else place.borrowed
    with _HANDLERS_LOCK:
        handler = _HANDLERS.get(key)
        if handler is None:
            handler = _HANDLERS[key] = SQLLogHandler(connection if place.borrowed is not None else place.url)
        return handler


def _record(handler: SQLLogHandler, fields: dict[str, Any]) -> str:
    require_fields(fields)
    operation_id = str(fields.get("operation_id") or mint())
    is_error = bool(fields.get("error_message") or fields.get("error_type"))
    record = logging.LogRecord(
        _LOGGER_NAME, logging.ERROR if is_error else logging.INFO, "", 0, "completion", None, None
    )
    record.__dict__["llm"] = {**fields, "operation_id": operation_id}
    handler.handle(record)
    return operation_id
