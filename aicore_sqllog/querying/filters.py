"""
Filters as the caller writes them into conditions that are known to be right. Knows no SQL.

A table says of each filter which column it is about, what its values are and how they compare;
adding one is adding a row.
"""

import difflib
import math
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, NamedTuple, TypeAlias, TypedDict
from uuid import UUID

import sqlalchemy as sa

from aicore_sqllog.values import ids
from aicore_sqllog.values.text import fit_name

__all__ = ["TOTAL_TOKENS", "Condition", "Filters", "LogFilter", "Operator"]

Operator = Literal["one_of", "at_least", "at_most", "before"]
TOTAL_TOKENS = "total_tokens"
"""Stands for ``input_tokens + output_tokens``, an unknown one as 0; both unknown match nothing."""

_Names: TypeAlias = str | Iterable[str | None] | None
_Ids: TypeAlias = str | UUID | Iterable[str | UUID | None] | None
_When: TypeAlias = str | date | datetime | None


class Filters(TypedDict, total=False):
    """The filters, the same everywhere; combined with *and*, ``None`` means no filter, a sequence *one of*."""

    start_date: _When
    end_date: _When
    session_id: _Ids
    workspace: _Names
    agent_id: _Names
    user_id: _Names
    action_id: _Names
    operation_id: _Ids
    parent_operation_id: _Ids
    operation_type: _Names
    provider: _Names
    model: _Names
    response_model: _Names
    status: _Names
    error_type: _Names
    finish_reason: _Names
    min_tokens: float | None
    max_tokens: float | None
    min_input_tokens: float | None
    max_input_tokens: float | None
    min_output_tokens: float | None
    max_output_tokens: float | None
    min_latency: float | None
    max_latency: float | None
    min_cost: float | None
    max_cost: float | None
    where: sa.ColumnElement[bool] | Sequence[sa.ColumnElement[bool]] | None


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison: of a column with a value, or with one of several (where ``None`` is NULL)."""

    column: str
    operator: Operator
    value: Any


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Everything that was asked for, checked."""

    conditions: tuple[Condition, ...] = ()
    where: tuple[sa.ColumnElement[bool], ...] = ()

    @classmethod
    def of(cls, filters: Mapping[str, Any], known_beside: Iterable[str] = ()) -> "LogFilter":
        """
        Return the filter that *filters* describe; *known_beside* are other arguments that may have been meant.

        Raises:
            TypeError: If one is unknown; the message names the nearest that exists.
            ValueError: If a value cannot be right; the message names filter and value.
        """
        conditions: list[Condition] = []
        where: tuple[sa.ColumnElement[bool], ...] = ()
        for name, value in filters.items():
            if name != "where" and name not in _RULES:
                raise TypeError(f"There is no filter {name!r}.{nearest(name, [*_RULES, 'where', *known_beside])}")
            if value is None:
                continue
            if name == "where":
                where = _read_where(value)
            else:
                conditions.append(_RULES[name].read(name, value))
        return cls(tuple(conditions), where)


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the end of an error message: which of *names* was perhaps meant."""
    matches = difflib.get_close_matches(name, list(names), n=1, cutoff=0.4)
    return f" Did you mean {matches[0]!r}?" if matches else ""


class _Rule(NamedTuple):
    column: str
    operator: Operator
    read_value: Callable[[str, object], object]

    def read(self, name: str, value: object) -> Condition:
        if self.read_value is _read_end:
            return _end_condition(self.column, name, value)
        if self.operator != "one_of":
            return Condition(self.column, self.operator, self.read_value(name, value))
        values = [value] if isinstance(value, str | UUID) or not isinstance(value, Iterable) else list(value)
        if isinstance(value, bytes | Mapping):
            raise _refusal(name, value, "a text or a sequence of texts")
        read = [None if item is None else self.read_value(name, item) for item in values]
        return Condition(self.column, "one_of", tuple(read))


def _read_name(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise _refusal(name, value, "a text or a sequence of texts")
    return fit_name(value)


def _read_session(name: str, value: object) -> UUID | str:
    """A UUID compares with ``session_id``, any other text with ``session_key``."""
    found = ids.parse_uuid(value)
    return UUID(found) if found is not None else _read_name(name, value)


def _read_operation(name: str, value: object) -> str:
    found = ids.parse_uuid(value)
    if found is not None:
        return found
    if not isinstance(value, str):
        raise _refusal(name, value, "an id, as text or UUID, or a sequence of ids")
    return ids.operation_id(value)


def _read_number(name: str, value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or math.isnan(value):
        raise _refusal(name, value, "a number")
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def _read_moment(name: str, value: object) -> datetime | date:
    """Return a date where the value is a date alone, else an aware datetime."""
    try:
        if isinstance(value, str):
            value = _parse_moment(value)
        if isinstance(value, datetime):
            return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        if isinstance(value, date):
            return value
    except (ValueError, OverflowError):
        pass
    raise _refusal(name, value, "a date, a datetime or its ISO 8601 text, such as '2026-01-31'")


def _parse_moment(text: str) -> datetime | date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return datetime.fromisoformat(text)


def _read_start(name: str, value: object) -> datetime:
    moment = _read_moment(name, value)
    return moment if isinstance(moment, datetime) else _midnight(moment)


def _read_end(name: str, value: object) -> datetime | date:
    return _read_moment(name, value)


def _end_condition(column: str, name: str, value: object) -> Condition:
    """A datetime is exclusive, so that adjoining windows do not overlap; a date alone includes its day."""
    moment = _read_end(name, value)
    if isinstance(moment, datetime):
        return Condition(column, "before", moment)
    if moment == date.max:
        return Condition(column, "at_most", datetime.max.replace(tzinfo=UTC))
    return Condition(column, "before", _midnight(moment + timedelta(days=1)))


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _read_where(value: object) -> tuple[sa.ColumnElement[bool], ...]:
    expressions = tuple(value) if isinstance(value, list | tuple) else (value,)
    for expression in expressions:
        if not isinstance(expression, sa.ColumnElement):
            raise ValueError(
                f"where holds {type(expression).__name__}, which is no SQLAlchemy expression. "
                "Allowed: such as LlmOperation.cost > 1, or a list of them."
            )
    return expressions


def _refusal(name: str, value: object, allowed: str) -> ValueError:
    return ValueError(f"{name}={value!r} cannot be right. Allowed: {allowed}.")


_RULES: Mapping[str, _Rule] = {
    "start_date": _Rule("timestamp", "at_least", _read_start),
    "end_date": _Rule("timestamp", "before", _read_end),
    "session_id": _Rule("session_id", "one_of", _read_session),
    "workspace": _Rule("workspace", "one_of", _read_name),
    "agent_id": _Rule("agent_id", "one_of", _read_name),
    "user_id": _Rule("user_id", "one_of", _read_name),
    "action_id": _Rule("action_id", "one_of", _read_name),
    "operation_id": _Rule("operation_id", "one_of", _read_operation),
    "parent_operation_id": _Rule("parent_operation_id", "one_of", _read_operation),
    "operation_type": _Rule("operation_type", "one_of", _read_name),
    "provider": _Rule("provider", "one_of", _read_name),
    "model": _Rule("model", "one_of", _read_name),
    "response_model": _Rule("response_model", "one_of", _read_name),
    "status": _Rule("status", "one_of", _read_name),
    "error_type": _Rule("error_type", "one_of", _read_name),
    "finish_reason": _Rule("finish_reason", "one_of", _read_name),
    "min_tokens": _Rule(TOTAL_TOKENS, "at_least", _read_number),
    "max_tokens": _Rule(TOTAL_TOKENS, "at_most", _read_number),
    "min_input_tokens": _Rule("input_tokens", "at_least", _read_number),
    "max_input_tokens": _Rule("input_tokens", "at_most", _read_number),
    "min_output_tokens": _Rule("output_tokens", "at_least", _read_number),
    "max_output_tokens": _Rule("output_tokens", "at_most", _read_number),
    "min_latency": _Rule("latency_ms", "at_least", _read_number),
    "max_latency": _Rule("latency_ms", "at_most", _read_number),
    "min_cost": _Rule("cost", "at_least", _read_number),
    "max_cost": _Rule("cost", "at_most", _read_number),
}
