"""
The names that a record may carry, and which of them make it an LLM record.
"""

import difflib
import logging
from collections.abc import Collection, Iterable, Mapping

from aicore_sqllog.record.aliases import ALIASES
from aicore_sqllog.record.columns import COLUMNS, ColumnKind

__all__ = [
    "COLUMN_NAMES",
    "FIELDS",
    "FIELD_DESCRIPTIONS",
    "GROUP_KEY",
    "NOTES_KEY",
    "STANDARD_ATTRIBUTES",
    "is_llm_record",
    "require_fields",
]

GROUP_KEY = "llm"
"""All fields may come as one mapping under this key, where they cannot collide with a ``LogRecord``'s own."""

NOTES_KEY = "sqllog_notes"
"""Under this key of the group ``llm_operation`` says what goes into ``extras["sqllog"]``: it is no field."""

_FIELDS = [column for column in COLUMNS if column.is_field]

COLUMN_NAMES = tuple(column.key for column in _FIELDS if column.kind is ColumnKind.NAME)
"""Fields that are names of 255 characters at most."""

FIELD_DESCRIPTIONS: Mapping[str, str] = {
    **{column.key: column.description for column in _FIELDS},
    "messages": 'A list of `{"role", "content", ...}`; a plain text is one user message.',
    "response": "A text, a message or a provider's answer; it becomes the last message.",
    "completion_args": "The request as it was sent: `model` and `messages` are lifted out, secrets are removed.",
    "capture_content": "`False`: no text of this record is stored.",
}
"""Every field, with one line for the documentation."""

FIELDS = frozenset(FIELD_DESCRIPTIONS)

# Not by makeLogRecord, which asks the application's record factory: what that adds is not the record's own.
_BARE_RECORD = logging.LogRecord("", logging.NOTSET, "", 0, "", None, None)

STANDARD_ATTRIBUTES = frozenset(vars(_BARE_RECORD)) | {"message", "asctime", "taskName"}
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
    """Raise ``TypeError`` for a name that is no field's, ours or another's; the message names the nearest."""
    for name in names:
        if name not in FIELDS and name not in ALIASES and not name.startswith(_OPENTELEMETRY):
            close = difflib.get_close_matches(name, FIELDS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise TypeError(f"There is no field {name!r}.{hint} What is your own goes into extras={{...}}.")
