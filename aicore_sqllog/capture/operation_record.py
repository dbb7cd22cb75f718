"""
The record of an operation: what goes into it beside its fields, and how it is logged.
"""

import logging
from collections.abc import Mapping
from typing import Any

from aicore_sqllog.capture.context import Scope
from aicore_sqllog.capture.failure import describe_exception
from aicore_sqllog.capture.fields import NOTES_KEY
from aicore_sqllog.capture.silence import tell_if_not_enabled
from aicore_sqllog.values.freeze import thaw

__all__ = ["SURROUNDING", "AnyLogger", "add_notes", "add_surroundings", "log_record"]

AnyLogger = logging.Logger | logging.LoggerAdapter[Any] | str

SURROUNDING = ("session_id", "workspace", "agent_id", "user_id")
"""What an operation may say of its caller, and its session too."""

_MESSAGE = "%s of %s: %s"


def add_notes(
    fields: dict[str, Any], told: Mapping[str, Any], given: Mapping[str, Any], error: BaseException | None
) -> None:
    """Say what is no field: a queue may take the exception off the record, and nobody else knows whose cost it is."""
    notes: dict[str, object] = fields[NOTES_KEY]
    if error is not None:
        notes["traceback"] = describe_exception(error).traceback
    if "cost" in told and "cost" not in given:
        notes["cost_source"] = "reported"


def add_surroundings(fields: dict[str, Any], scope: Scope) -> None:
    """Write out what surrounds the operation: a queue may take the record to a thread that knows nothing of it."""
    if not scope.outer:
        return
    around = scope.outer[-1].surroundings
    for name in SURROUNDING:
        if getattr(around, name) is not None:
            fields.setdefault(name, getattr(around, name))
    if around.operation_id is not None and fields.get("parent_operation_id") is None:
        fields["parent_operation_id"] = around.operation_id
        fields[NOTES_KEY]["parent_run_id"] = around.operation_run_id
    if around.metadata is not None and fields["session_id"] == around.session_id:
        fields.setdefault("session_metadata", thaw(around.metadata)[0])
    if not around.captures_content:
        fields["capture_content"] = False


def log_record(logger: AnyLogger, fields: dict[str, Any], error: BaseException | None) -> None:
    """Log the record of an operation; what has been cancelled is no error to those who read the console."""
    extra: dict[str, Any] = {}
    while isinstance(logger, logging.LoggerAdapter):  # which would put its own extra in the place of ours
        extra = {**(logger.extra or {}), **extra}
        logger = logger.logger
    if isinstance(logger, str):
        logger = logging.getLogger(logger)
    is_cancelled = fields.get("status") == "cancelled"
    is_error = error is not None or fields.get("status") == "error"
    is_error = is_error or bool(fields.get("error_type") or fields.get("error_message"))
    said = (fields["operation_type"], fields.get("model") or fields.get("response_model"), fields.get("status", "done"))
    if fields.get("status") == "error" and not fields.get("error_message"):
        fields["error_message"] = _MESSAGE % said  # a queue puts the traceback into the message itself
    level = logging.ERROR if is_error and not is_cancelled else logging.INFO
    tell_if_not_enabled(logger, level)
    logger.log(
        level,
        _MESSAGE,
        *said,
        exc_info=None if is_cancelled else error,
        extra={**extra, "llm": fields},
    )
