"""
Filters as the caller writes them into conditions that are known to be right. Knows no SQL.

A filter about a column is said in ``record/columns.py``; what is about no single column, here.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias, TypedDict
from uuid import UUID

import sqlalchemy as sa

from aicore_sqllog.querying import filter_values
from aicore_sqllog.record.columns import MESSAGES, OPERATIONS, SESSIONS, Column, ColumnKind, Comparison

__all__ = ["TOTAL_TOKENS", "Condition", "Filters", "LogFilter", "nearest"]

TOTAL_TOKENS = "total_tokens"
"""Stands for ``input_tokens + output_tokens``, an unknown one as 0; both unknown match nothing."""

_Names: TypeAlias = str | Iterable[str | None] | None
_Ids: TypeAlias = str | UUID | Iterable[str | UUID | None] | None
_Number: TypeAlias = float | Decimal | Fraction | None
_When: TypeAlias = str | date | datetime | None
_Members: TypeAlias = Mapping[str | tuple[str | int, ...], Any] | None


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
    min_tokens: _Number
    max_tokens: _Number
    min_input_tokens: _Number
    max_input_tokens: _Number
    min_output_tokens: _Number
    max_output_tokens: _Number
    min_latency: _Number
    max_latency: _Number
    min_cost: _Number
    max_cost: _Number
    extras: _Members
    session_metadata: _Members
    role: _Names
    content_contains: str | None
    where: sa.ColumnElement[bool] | Sequence[sa.ColumnElement[bool]] | None


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison: of a column with a value, or with one of several (where ``None`` is NULL)."""

    column: str
    comparison: Comparison
    value: Any


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Everything that was asked for, checked."""

    conditions: tuple[Condition, ...] = ()
    message_conditions: tuple[Condition, ...] = ()
    """They hold in one and the same message of the operation."""
    where: tuple[sa.ColumnElement[bool], ...] = ()

    @classmethod
    def of(cls, filters: Mapping[str, Any], known_beside: Iterable[str] = ()) -> "LogFilter":
        """
        Return the filter that *filters* describe; *known_beside* are other arguments that may have been meant.

        Raises:
            TypeError: If one is unknown; the message names the nearest that exists.
            ValueError: If a value cannot be right; the message names filter and value.
        """
        for name in filters:
            if name not in Filters.__annotations__:
                raise TypeError(
                    f"There is no filter {name!r}.{nearest(name, [*Filters.__annotations__, *known_beside])}"
                )
        given = {name: value for name, value in filters.items() if value is not None}
        where = filter_values.read_expressions(given.pop("where", ()))
        return cls(_conditions(given, _RULES), _conditions(given, _MESSAGE_RULES), where)


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the end of an error message: which of *names* was perhaps meant."""
    matches = difflib.get_close_matches(name, list(names), n=1, cutoff=0.4)
    return f" Did you mean {matches[0]!r}?" if matches else ""


class _Rule(NamedTuple):
    column: str
    comparison: Comparison
    read_value: Callable[[str, object], Any]

    def condition(self, name: str, value: object) -> Condition | None:
        """Return what *value* asks for; None where every row has it."""
        if self.comparison == "one_of":
            read: Any = filter_values.read_several(name, value, self.read_value)
        else:
            read = self.read_value(name, value)
        return None if read is None else Condition(self.column, self.comparison, read)


def _conditions(given: Mapping[str, object], rules: Mapping[str, _Rule]) -> tuple[Condition, ...]:
    conditions = (rules[name].condition(name, value) for name, value in given.items() if name in rules)
    return tuple(condition for condition in conditions if condition is not None)


_READERS: Mapping[ColumnKind, Callable[[str, object], Any]] = {
    ColumnKind.ID: filter_values.read_id,
    ColumnKind.NAME: filter_values.read_name,
    ColumnKind.TEXT: filter_values.read_text,
    ColumnKind.COUNT: filter_values.read_count,
    ColumnKind.AMOUNT: filter_values.read_amount,
    ColumnKind.JSON: filter_values.read_members,
}
_OTHER_READERS: Mapping[str, Callable[[str, object], Any]] = {
    "start_date": filter_values.read_start,
    "end_date": filter_values.read_end,
    "session_id": filter_values.read_session,
}
"""How the value of a filter is read where the kind of its column does not tell."""


def _rules(columns: Iterable[Column]) -> dict[str, _Rule]:
    return {
        name: _Rule(column.name, comparison, _OTHER_READERS.get(name) or _READERS[column.kind])
        for column in columns
        for name, comparison in column.filters.items()
    }


_RULES: Mapping[str, _Rule] = {
    **_rules(SESSIONS),
    **_rules(OPERATIONS),
    "min_tokens": _Rule(TOTAL_TOKENS, "at_least", filter_values.read_count),
    "max_tokens": _Rule(TOTAL_TOKENS, "at_most", filter_values.read_count),
}
_MESSAGE_RULES: Mapping[str, _Rule] = _rules(MESSAGES)
