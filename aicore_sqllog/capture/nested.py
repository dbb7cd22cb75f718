"""
Fields that another logging library keeps in one attribute of the record, in place of attributes of their own.

loguru gives a handler what was bound as a mapping, ``record.extra``. structlog's ``ProcessorFormatter`` has the whole
event as a mapping in the place of the message, with the text under ``event``.
"""

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

from aicore_sqllog.capture.fields import STANDARD_ATTRIBUTES, is_llm_record

__all__ = ["Nested", "nested_fields"]

_TEXT_KEY = "event"


class Nested(NamedTuple):
    """The fields of an LLM record, and the text that stood among them."""

    fields: dict[str, Any]
    text: str | None = None


def nested_fields(record: logging.LogRecord) -> Nested | None:
    """Return what *record* has as fields of its own in a mapping; None where that is not about a call of a model."""
    bound = getattr(record, "extra", None)
    if isinstance(bound, Mapping):
        found = _own(bound)
        if is_llm_record(found):
            return Nested(found)
    event: object = record.msg
    if isinstance(event, Mapping):
        found = _own(event)
        text = found.pop(_TEXT_KEY, None)
        if is_llm_record(found):
            return Nested(found, text if isinstance(text, str) else None)
    return None


def _own(mapping: Mapping[Any, Any]) -> dict[str, Any]:
    # What a library adds for itself begins with an underscore: structlog's ``_record``, ``_from_structlog``.
    return {
        key: value
        for key, value in mapping.items()
        if isinstance(key, str) and key not in STANDARD_ATTRIBUTES and not key.startswith("_")
    }
