"""
Filters as conditions of a Select over the operations and their sessions.
"""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from aicore_sqllog.querying.columns import MESSAGES, OPERATIONS, SESSIONS
from aicore_sqllog.querying.filter_values import Member
from aicore_sqllog.querying.filters import TOTAL_TOKENS, Condition, LogFilter
from aicore_sqllog.storage.expressions import json_equals, json_is_null, text_position

__all__ = ["matching", "matching_messages"]

_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "at_least": operator.ge,
    "at_most": operator.le,
    "before": operator.lt,
    "contains": lambda column, text: text_position(column, text) > 0,
}
_LITERAL_TYPES: Mapping[type, sa.types.TypeEngine[Any]] = {
    int: sa.BigInteger(),
    float: sa.Double(),
    str: sa.Text(),
    bool: sa.Boolean(),
}
"""A number's own type: the column's would round a bound with a fraction, and refuse a large one."""

_DOCUMENTS = {"extras": OPERATIONS.c.extras, "metadata": SESSIONS.c.metadata}

_SOURCE = OPERATIONS.outerjoin(SESSIONS, OPERATIONS.c.session_id == SESSIONS.c.session_id)
_WITH_MESSAGES = _SOURCE.join(MESSAGES, MESSAGES.c.operation_id == OPERATIONS.c.operation_id)


def matching(select: sa.Select[Any], log_filter: LogFilter) -> sa.Select[Any]:
    """
    Return *select* of those operations, joined with their sessions, that match.

    Raises:
        ValueError: If ``where`` brings in another table, which would multiply the rows.
    """
    has_message = [_has_message(log_filter.message_conditions)] if log_filter.message_conditions else []
    return _matching(select, log_filter, _SOURCE, has_message)


def matching_messages(select: sa.Select[Any], log_filter: LogFilter) -> sa.Select[Any]:
    """Return *select* of the messages that match, joined with their operations and sessions; errors as above."""
    return _matching(select, log_filter, _WITH_MESSAGES, _message_expressions(log_filter.message_conditions))


def _matching(
    select: sa.Select[Any],
    log_filter: LogFilter,
    source: sa.FromClause,
    further: Sequence[sa.ColumnElement[bool]],
) -> sa.Select[Any]:
    conditions = [_expression(condition) for condition in log_filter.conditions]
    found = select.select_from(source).where(*conditions, *further, *log_filter.where)
    # What a subquery selects from is its own matter; SQLAlchemy lists here what the rows themselves come from.
    others = [one for one in found.get_final_froms() if one is not source]
    if others:
        raise ValueError(
            f"where names {', '.join(map(_described, others))}, which is not joined: each operation would come "
            "once for each of its rows. Allowed: LlmOperation and LlmSession themselves; of another table, what "
            "sa.exists() says: sa.exists().where(LlmMessage.operation_id == LlmOperation.operation_id, "
            "LlmMessage.content.contains('a word'))."
        )
    return found


def _described(source: sa.FromClause) -> str:
    if isinstance(source, sa.TableClause):
        return source.fullname
    if isinstance(source, sa.Alias):
        return f"an alias of {_described(source.element)}"
    return f"a {type(source).__name__}"


def _expression(condition: Condition) -> sa.ColumnElement[bool]:
    if condition.comparison == "one_of":
        return _one_of(condition)
    if condition.comparison == "members":
        return sa.and_(sa.true(), *(_holds(_DOCUMENTS[condition.column], member) for member in condition.value))
    if condition.column == TOTAL_TOKENS:
        parts = (OPERATIONS.c.input_tokens, OPERATIONS.c.output_tokens)
        total = sum((sa.func.coalesce(sa.cast(part, sa.BigInteger), 0) for part in parts), start=sa.literal(0))
        known = sa.or_(*(part.is_not(None) for part in parts))
        return sa.and_(known, _compare(total, condition))
    return _compare(OPERATIONS.c[condition.column], condition)


def _holds(document: sa.Column[Any], member: Member) -> sa.ColumnElement[bool]:
    """Return that the member of *document* is one of the values, each compared by its JSON type."""
    steps = [sa.literal(step, _LITERAL_TYPES[type(step)]) for step in member.path]
    return sa.or_(
        sa.false(),
        *(
            json_is_null(document, *steps)
            if value is None
            else json_equals(document, *steps, sa.literal(value, _LITERAL_TYPES[type(value)]))
            for value in member.values
        ),
    )


def _has_message(conditions: Sequence[Condition]) -> sa.ColumnElement[bool]:
    """Return that one message of the operation meets all *conditions*."""
    return sa.exists().where(MESSAGES.c.operation_id == OPERATIONS.c.operation_id, *_message_expressions(conditions))


def _message_expressions(conditions: Sequence[Condition]) -> list[sa.ColumnElement[bool]]:
    return [
        _is_in(MESSAGES.c[condition.column], condition.value)
        if condition.comparison == "one_of"
        else _compare(MESSAGES.c[condition.column], condition)
        for condition in conditions
    ]


def _compare(column: sa.ColumnElement[Any], condition: Condition) -> sa.ColumnElement[bool]:
    literal_type = _LITERAL_TYPES.get(type(condition.value))
    value = condition.value if literal_type is None else sa.literal(condition.value, literal_type)
    compared: sa.ColumnElement[bool] = _COMPARE[condition.comparison](column, value)
    return compared


def _one_of(condition: Condition) -> sa.ColumnElement[bool]:
    if condition.column != "session_id":
        return _is_in(OPERATIONS.c[condition.column], condition.value)
    ids = [value for value in condition.value if isinstance(value, UUID)]
    keys = [value for value in condition.value if isinstance(value, str)]
    nulls = [value for value in condition.value if value is None]
    return sa.or_(
        _is_in(OPERATIONS.c.session_id, [*ids, *nulls]),
        _is_in(SESSIONS.c.session_key, keys),
    )


def _is_in(column: sa.Column[Any], values: Iterable[Any]) -> sa.ColumnElement[bool]:
    some = [value for value in values if value is not None]
    parts: list[sa.ColumnElement[bool]] = [column.in_(some)] if some else []
    if len(some) < len(list(values)):
        parts.append(column.is_(None))
    return sa.or_(*parts) if parts else sa.false()
