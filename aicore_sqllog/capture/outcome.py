"""
How a call ended, where its record does not say so itself: status, error, and the model that answered.
"""

import logging

from aicore_sqllog.capture.content import Content
from aicore_sqllog.capture.failure import Failure, read_traceback

__all__ = ["settle_outcome"]

_TRACEBACK = "\nTraceback (most recent call last):\n"


def settle_outcome(content: Content, level_number: object) -> None:
    """Fill ``status``, ``error_type``, ``error_message`` and ``model``. An error with no text takes the log message."""
    fields = content.fields
    for name in ("status", "error_type", "error_message"):
        if fields.get(name) == "":
            fields[name] = None
    _add_failure(content, level_number)
    is_error = content.failure is not None or any(
        fields.get(name) is not None for name in ("error_message", "error_type")
    )
    if fields.get("status") is None:
        fields["status"] = "error" if is_error or _is_severe(level_number) else "success"
    if fields["status"] == "error" and fields.get("error_message") is None:
        fields["error_message"] = content.own.get("message")
    if fields.get("model") in (None, "") and fields.get("response_model") not in (None, ""):
        fields["model"] = fields["response_model"]
        content.own["model_source"] = "response_model"


def _add_failure(content: Content, level_number: object) -> None:
    fields, failure = content.fields, content.failure
    if failure is None and _is_severe(level_number) and "traceback" not in content.own:
        failure = _failure_in(content.own.get("message"))
    if failure is None:
        return
    if fields.get("error_type") is None:
        fields["error_type"] = failure.error_type or None
    if fields.get("error_message") is None:
        fields["error_message"] = failure.error_message or None
    content.own.setdefault("traceback", failure.traceback)


def _failure_in(message: object) -> Failure | None:
    """Return the exception whose traceback ends *message*, where a ``QueueHandler`` has put it."""
    if not isinstance(message, str) or _TRACEBACK not in message:
        return None
    return read_traceback(message[message.index(_TRACEBACK) + 1 :])


def _is_severe(level_number: object) -> bool:
    return isinstance(level_number, int) and level_number >= logging.ERROR
