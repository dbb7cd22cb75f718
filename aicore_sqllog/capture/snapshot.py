"""
What emit takes of a ``LogRecord``, in a few microseconds; the record itself is left untouched.
"""

import logging
from collections.abc import Callable
from operator import itemgetter
from sys import getsizeof
from typing import Any, NamedTuple

from aicore_sqllog.capture.context import Surroundings, current_surroundings
from aicore_sqllog.capture.failure import Failure, describe_exception, read_traceback
from aicore_sqllog.capture.fields import GROUP_KEY, STANDARD_ATTRIBUTES, is_llm_record
from aicore_sqllog.capture.nested import nested_fields
from aicore_sqllog.values.convert import to_consent
from aicore_sqllog.values.freeze import Frozen, describe, freeze
from aicore_sqllog.values.ids import UUID, uuid7

__all__ = [
    "Snapshot",
    "size_of",
    "take_bare_snapshot",
    "take_snapshot",
]

_OVERHEAD_BYTES = 600
_MAX_PLANS = 1_000


class Snapshot(NamedTuple):
    """A log record as it was at the call; it can no longer change."""

    minted_id: UUID
    created: object
    """Seconds since 1970; a record made elsewhere may hold anything here, and in the next three."""
    logger: str
    level: str
    level_number: object
    message: str
    names: tuple[str, ...]
    values: Frozen
    failure: Failure | None
    stack: str | None
    size: int
    """Approximate size in bytes; what bounds the queue and cuts a batch."""
    note: str | None = None
    """What was done to it since; stored beside the record."""
    surroundings: Surroundings | None = None
    """The session and the operation around the log call."""


class _Plan(NamedTuple):
    """What to take of records with a certain set of attributes."""

    names: tuple[str, ...]
    values_of: Callable[[dict[str, Any]], tuple[object, ...]]


_PLANS: dict[tuple[str, ...], _Plan | None] = {}

_last_plan: tuple[tuple[str, ...], _Plan | None] = ((), None)


def take_snapshot(record: logging.LogRecord) -> Snapshot | None:
    """Return what *record* says, frozen, with a newly minted id; None if it is no LLM record."""
    attributes = record.__dict__
    keys = tuple(attributes)
    last_keys, plan = _last_plan  # most calls look like the one before, and to compare costs less than to look up
    if keys != last_keys:
        plan = _find_plan(keys)
    if plan is None:
        return _take_nested(record)
    values, size = freeze(plan.values_of(attributes))
    message = record.msg
    if type(message) is not str or record.args:
        message = _format_message(record)
    failure = _failure_of(record) if record.exc_info or record.exc_text else None
    stack = record.stack_info
    size += _OVERHEAD_BYTES + getsizeof(message)
    if failure is not None or stack is not None:
        size = size_of(size, stack, *(failure or ()))
    return _make_snapshot(
        Snapshot,
        (
            uuid7(), record.created, record.name, record.levelname, record.levelno, message,
            plan.names, values, failure, stack, size, None, current_surroundings(),
        ),
    )  # fmt: skip


_make_snapshot: Callable[[type[Snapshot], tuple[object, ...]], Snapshot] = tuple.__new__
"""What ``Snapshot(...)`` does, at a third of its cost: this is done within each log call."""


def _take_nested(record: logging.LogRecord) -> Snapshot | None:
    nested = nested_fields(record)
    if nested is None:
        return None
    plain = logging.LogRecord(record.name, record.levelno, "", 0, record.msg, record.args, record.exc_info)
    plain.__dict__.update({key: record.__dict__.get(key) for key in _TAKEN_AS_THEY_ARE}, **nested.fields)
    if nested.text is not None:
        plain.msg, plain.args = nested.text, None
    return take_snapshot(plain)


_TAKEN_AS_THEY_ARE = ("created", "levelname", "exc_text", "stack_info")


def take_bare_snapshot(record: logging.LogRecord, fault: Exception) -> Snapshot:
    """Return what can always be kept of a record whose fields could not be taken."""
    values, size = freeze(({"extras": {"sqllog": {"fault": describe(fault)}}, "capture_content": _wish(record)},))
    message = _format_message(record)
    return Snapshot(
        uuid7(), record.created, describe(record.name), describe(record.levelname), record.levelno, message,
        (GROUP_KEY,), values, None, None, size_of(size, message), surroundings=current_surroundings(),
    )  # fmt: skip


def size_of(values_size: int, *texts: str | None) -> int:
    """Return about how many bytes a snapshot takes, with frozen values of *values_size* and *texts* beside them."""
    return values_size + _OVERHEAD_BYTES + sum(map(getsizeof, texts))


def _wish(record: logging.LogRecord) -> object:
    """Return what the record itself says of its texts; where that cannot be read, they are not stored."""
    try:
        nested = nested_fields(record)
        outer = [record.__dict__, {} if nested is None else nested.fields]
        grouped = [fields.get(GROUP_KEY) or {} for fields in outer]
        return all(to_consent(fields.get("capture_content")) for fields in (*outer, *grouped))
    except Exception:
        return False


def _find_plan(keys: tuple[str, ...]) -> _Plan | None:
    global _last_plan
    plan = _PLANS[keys] if keys in _PLANS else _make_plan(keys)
    _last_plan = (keys, plan)
    return plan


def _make_plan(keys: tuple[str, ...]) -> _Plan | None:
    # An application has few shapes of records; one that makes up names for ever must not fill the memory.
    if len(_PLANS) >= _MAX_PLANS:
        _PLANS.clear()
    names = tuple(key for key in keys if key not in STANDARD_ATTRIBUTES)
    if not is_llm_record(names):
        plan = None
    elif len(names) == 1:
        only = names[0]
        plan = _Plan(names, lambda attributes: (attributes[only],))
    else:
        plan = _Plan(names, itemgetter(*names))
    _PLANS[keys] = plan
    return plan


def _format_message(record: logging.LogRecord) -> str:
    try:
        return str(record.getMessage())
    except Exception:
        return describe(record.msg)


def _failure_of(record: logging.LogRecord) -> Failure | None:
    exc_info: object = record.exc_info
    exception = exc_info[1] if isinstance(exc_info, tuple) and len(exc_info) == 3 else exc_info
    if isinstance(exception, BaseException):
        return describe_exception(exception)
    # What SocketHandler, and any other that pickles a record, leaves of an exception.
    return read_traceback(record.exc_text) if isinstance(record.exc_text, str) else None
