"""
The names that a record may carry, and which of them make it an LLM record.
"""

import difflib
import logging
from collections.abc import Collection, Iterable

__all__ = [
    "COLUMN_COUNTS",
    "COLUMN_NAMES",
    "FIELDS",
    "GROUP_KEY",
    "STANDARD_ATTRIBUTES",
    "is_llm_record",
    "require_fields",
]

GROUP_KEY = "llm"
"""All fields may come as one mapping under this key, where they cannot collide with a ``LogRecord``'s own."""

COLUMN_NAMES = (
    "action_id",
    "operation_type",
    "provider",
    "model",
    "response_model",
    "status",
    "finish_reason",
    "error_type",
    "workspace",
    "agent_id",
    "user_id",
)
"""Fields that are names or ids of 255 characters at most."""

COLUMN_COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "latency_ms",
    "time_to_first_token_ms",
)
"""Fields that are whole numbers; NULL where unknown."""

FIELDS = frozenset(
    {
        *COLUMN_NAMES,
        *COLUMN_COUNTS,
        "session_id",
        "session_metadata",
        "operation_id",
        "parent_operation_id",
        "timestamp",
        "cost",
        "error_message",
        "extras",
        "messages",
        "response",
        "completion_args",
        "capture_content",
    }
)

STANDARD_ATTRIBUTES = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
"""What a ``LogRecord`` has of its own or gets from a formatter; never stored as an extra."""

_ONE_IS_ENOUGH = frozenset({GROUP_KEY, "operation_type", "input_tokens", "output_tokens", "completion_args"})
_TWO_ARE_NEEDED = frozenset({"provider", "model", "messages", "response"})
_OPENTELEMETRY = "gen_ai."


def is_llm_record(names: Collection[str]) -> bool:
    """Whether a record with these attributes is about a call of a model; a name counts when it is there."""
    return (
        not _ONE_IS_ENOUGH.isdisjoint(names)
        or len(_TWO_ARE_NEEDED.intersection(names)) >= 2
        or any(isinstance(name, str) and name.startswith(_OPENTELEMETRY) for name in names)
    )


def require_fields(names: Iterable[str]) -> None:
    """Raise ``TypeError`` for a name that is no field; the message names the nearest."""
    for name in names:
        if name not in FIELDS:
            close = difflib.get_close_matches(name, FIELDS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise TypeError(f"There is no field {name!r}.{hint} What is your own goes into extras={{...}}.")
