"""
The one table of columns: what is stored, what a record may carry, and what a reader may ask for.

A column is said here once. The fields of a record, the rows, the filters, the groupings, the columns
of a frame and the documentation's tables follow from it, and a test holds the ORM models to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from types import MappingProxyType
from typing import Literal

__all__ = ["COLUMNS", "LOSSES", "MESSAGES", "OPERATIONS", "SESSIONS", "Column", "ColumnKind", "Comparison"]

Comparison = Literal["one_of", "at_least", "at_most", "before", "contains", "members"]
"""
How a filter compares with its column. ``one_of`` takes one value or several, ``members`` a mapping of keys or paths of
a document to values, the others take one.
"""


class ColumnKind(Enum):
    """What a column holds: decides its type in the database and in a frame, and how a record's value is read."""

    ID = "id"
    """A UUID."""
    NAME = "name"
    """A name of 255 characters at most."""
    TEXT = "text"
    """Text of any length."""
    COUNT = "count"
    """A whole number; milliseconds too."""
    AMOUNT = "amount"
    """A number with a fraction."""
    INSTANT = "instant"
    """A moment in UTC, with microseconds."""
    JSON = "json"
    """A document."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of one table."""

    table: str
    name: str
    kind: ColumnKind
    description: str
    """One line for the documentation."""
    revision: str = "0001"
    """The revision of the schema that adds it."""
    attribute: str = ""
    """What it is called where *name* alone would not tell: in a record, on the ORM model, in a frame."""
    is_field: bool = False
    """Whether a record may carry it as a field."""
    is_groupable: bool = False
    """Whether a summary may be grouped by it."""
    filters: Mapping[str, Comparison] = field(default_factory=lambda: MappingProxyType({}))
    """The reader's filters about it, by the name of the filter."""

    @property
    def key(self) -> str:
        """Return the name of the record's field, of the model's attribute and of the frame's column."""
        return self.attribute or self.name


def _one_of(name: str) -> Mapping[str, Comparison]:
    return MappingProxyType({name: "one_of"})


def _range(name: str) -> Mapping[str, Comparison]:
    return MappingProxyType({f"min_{name}": "at_least", f"max_{name}": "at_most"})


_ID, _NAME, _TEXT, _COUNT = ColumnKind.ID, ColumnKind.NAME, ColumnKind.TEXT, ColumnKind.COUNT
_AMOUNT, _INSTANT, _JSON = ColumnKind.AMOUNT, ColumnKind.INSTANT, ColumnKind.JSON
_PERIOD: Mapping[str, Comparison] = MappingProxyType({"start_date": "at_least", "end_date": "before"})

_session = partial(Column, "llm_sessions")
_operation = partial(Column, "llm_operations", is_field=True)
_message = partial(Column, "llm_messages")
_loss = partial(Column, "llm_log_losses", revision="0002")


def _named(
    name: str, description: str, revision: str = "0001", kind: ColumnKind = _NAME, *, is_groupable: bool = True
) -> Column:
    """Return a column of operations whose filter has its name."""
    return _operation(name, kind, description, revision, is_groupable=is_groupable, filters=_one_of(name))


SESSIONS: tuple[Column, ...] = (
    _session("session_id", _ID, "Primary key."),
    _session("workspace", _NAME, "The workspace of the session's first record."),
    _session("agent_id", _NAME, "The agent of the session's first record."),
    _session("created_at", _INSTANT, "The time of the session's first record."),
    _session(
        "metadata",
        _JSON,
        "Anything about the session: of its first record. A different one later stays with its operation.",
        attribute="session_metadata",
        is_field=True,
        filters=MappingProxyType({"session_metadata": "members"}),
    ),
    _session("session_key", _NAME, "The session's id as the caller wrote it, where that is no UUID.", "0002"),
)

OPERATIONS: tuple[Column, ...] = (
    _named("operation_id", "Primary key. An id that is taken gets a fresh one.", kind=_ID, is_groupable=False),
    _named("session_id", "The session: a UUID, or any text, of which one is derived.", kind=_ID),
    _named("action_id", "A name of your own for what the call was part of."),
    _operation("timestamp", _INSTANT, "When the call was logged, or the time that it gave.", filters=_PERIOD),
    _named("operation_type", "What was done; `completion` where nothing is given."),
    _named("provider", "Who was asked."),
    _named("model", "The model that was asked for."),
    _operation("input_tokens", _COUNT, "Tokens read, cached ones included.", filters=_range("input_tokens")),
    _operation("output_tokens", _COUNT, "Tokens written, reasoning included.", filters=_range("output_tokens")),
    _operation("latency_ms", _COUNT, "How long it took, in whole milliseconds.", filters=_range("latency")),
    _operation("cost", _AMOUNT, "What it cost, in your currency.", filters=_range("cost")),
    _named("status", "`success`, `error`, or what was given."),
    _operation("error_message", _TEXT, "What went wrong, in words."),
    _operation(
        "extras",
        _JSON,
        "Whatever else was logged; the key `sqllog` holds what this package notes.",
        filters=MappingProxyType({"extras": "members"}),
    ),
    _named("workspace", "The workspace of the call.", "0002"),
    _named("agent_id", "The agent that called.", "0002"),
    _named("user_id", "The user for whom it called.", "0002"),
    _named("parent_operation_id", "The operation that this one is part of.", "0002", _ID, is_groupable=False),
    _named("response_model", "The model that answered.", "0002"),
    _named("finish_reason", "Why the answer ended.", "0002"),
    _named("error_type", "What went wrong, as a name: an exception's class, a provider's code.", "0002"),
    _operation("cache_read_tokens", _COUNT, "Of the tokens read: those from a cache.", "0002"),
    _operation("cache_write_tokens", _COUNT, "Of the tokens read: those written to a cache.", "0002"),
    _operation("reasoning_tokens", _COUNT, "Of the tokens written: those of reasoning.", "0002"),
    _operation("time_to_first_token_ms", _COUNT, "Until the first token came, in whole milliseconds.", "0002"),
)

MESSAGES: tuple[Column, ...] = (
    _message("message_id", _ID, "Primary key."),
    _message("operation_id", _ID, "The operation of the message."),
    _message(
        "role", _NAME, "Who speaks: `system`, `user`, `assistant`, `tool`, or what was given.", filters=_one_of("role")
    ),
    _message(
        "content",
        _TEXT,
        "The text that a person reads; NULL where there is none.",
        filters=MappingProxyType({"content_contains": "contains"}),
    ),
    _message("sequence_number", _COUNT, "The place in the operation, from 0."),
    _message("parts", _JSON, "What is more than text: tool calls, ids, lists of parts.", "0002"),
)

LOSSES: tuple[Column, ...] = (
    _loss("loss_id", _ID, "Primary key."),
    _loss("reason", _NAME, "Why records were dropped."),
    _loss("count", _COUNT, "How many."),
    _loss("bytes", _COUNT, "How large they were together."),
    _loss("first_at", _INSTANT, "When the first was dropped."),
    _loss("last_at", _INSTANT, "When the last was dropped."),
    _loss("host", _NAME, "On which host."),
    _loss("process_id", _COUNT, "In which process."),
)

COLUMNS: tuple[Column, ...] = (*SESSIONS, *OPERATIONS, *MESSAGES, *LOSSES)
"""Every column, table by table, in the order of the tables."""
