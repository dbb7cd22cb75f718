"""
What of a Polars predicate a database can decide: comparisons of times, numbers, names and ids, joined by *and*.

Rows that the rest of the predicate refuses come too: whoever scans applies the whole predicate again.
"""

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import polars as pl
import sqlalchemy as sa

from aicore_sqllog.querying.columns import FRAME_COLUMNS, FrameColumn
from aicore_sqllog.record.columns import ColumnKind
from aicore_sqllog.values.ids import parse_uuid

__all__ = ["decidable"]

_Compare = Callable[[Any, Any], Any]

_COMPARE: Mapping[str, _Compare] = {
    "Eq": operator.eq,
    "Gt": operator.gt,
    "GtEq": operator.ge,
    "Lt": operator.lt,
    "LtEq": operator.le,
}
_MIRRORED = {"Eq": "Eq", "Gt": "Lt", "GtEq": "LtEq", "Lt": "Gt", "LtEq": "GtEq"}
_BETWEEN = {"Both": ("GtEq", "LtEq"), "Left": ("GtEq", "Lt"), "Right": ("Gt", "LtEq"), "None": ("Gt", "Lt")}
_ORDERED = (ColumnKind.COUNT, ColumnKind.AMOUNT, ColumnKind.INSTANT)
_EQUAL = (*_ORDERED, ColumnKind.NAME, ColumnKind.ID)
_A_SECOND = {"Milliseconds": 10**3, "Microseconds": 10**6, "Nanoseconds": 10**9}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def decidable(predicate: pl.Expr) -> list[sa.ColumnElement[bool]]:
    """Return conditions that every row meets for which *predicate* holds."""
    tree: Any = orjson.loads(predicate.meta.serialize(format="json"))
    return [condition for part in _joined_by_and(tree) for condition in _conditions(part)]


def _joined_by_and(tree: Any) -> Iterator[Any]:
    waiting = [tree]
    while waiting:
        part = waiting.pop()
        binary = part.get("BinaryExpr", {}) if isinstance(part, dict) else {}
        if binary.get("op") in ("And", "LogicalAnd"):
            waiting += [binary["right"], binary["left"]]
        else:
            yield part


def _conditions(part: Any) -> Iterator[sa.ColumnElement[bool]]:
    """Yield what *part* says, where it is of a form that is known; of any other nothing."""
    match part:
        case {"BinaryExpr": {"left": {"Column": str(name)}, "op": str(op), "right": {"Literal": literal}}}:
            yield from _comparison(name, op, literal)
        case {"BinaryExpr": {"left": {"Literal": literal}, "op": str(op), "right": {"Column": str(name)}}}:
            yield from _comparison(name, _MIRRORED.get(op, ""), literal)
        case {
            "Function": {
                "input": [{"Column": str(name)}, {"Literal": low}, {"Literal": high}],
                "function": {"Boolean": {"IsBetween": {"closed": str(closed)}}},
            }
        } if closed in _BETWEEN:
            for op, literal in zip(_BETWEEN[closed], (low, high), strict=True):
                yield from _comparison(name, op, literal)


def _comparison(name: str, op: str, literal: Any) -> Iterator[sa.ColumnElement[bool]]:
    column = FRAME_COLUMNS.get(name)
    if column is not None and op in _COMPARE and column.kind in (_EQUAL if op == "Eq" else _ORDERED):
        value = _value(column, literal)
        if value is not None:
            yield _COMPARE[op](column.column, value)


def _value(column: FrameColumn, literal: Any) -> Any:
    """Return what the column compares with in SQL; None where that would not be quite the same comparison."""
    match literal:
        case {"Dyn": {"Int": int(number)}} | {"Scalar": {"Int64": int(number)}} | {"Scalar": {"Int32": int(number)}}:
            is_number = column.kind in (ColumnKind.COUNT, ColumnKind.AMOUNT)
            return sa.literal(number, sa.BigInteger()) if is_number and abs(number) < 2**53 else None
        case {"Dyn": {"Float": float(number)}} | {"Scalar": {"Float64": float(number)}}:
            is_number = column.kind in (ColumnKind.COUNT, ColumnKind.AMOUNT) and math.isfinite(number)
            return sa.literal(number, sa.Double()) if is_number else None
        case {"Scalar": {"Datetime": [int(ticks), str(unit), {"inner": str()}]}} if unit in _A_SECOND:
            return _instant(ticks, _A_SECOND[unit]) if column.kind is ColumnKind.INSTANT else None
        case {"Scalar": {"String": str(text)}} | {"Dyn": {"Str": str(text)}}:
            return (
                text if column.kind is ColumnKind.NAME else parse_uuid(text) if column.kind is ColumnKind.ID else None
            )
    return None


def _instant(ticks: int, a_second: int) -> datetime | None:
    micros, rest = divmod(ticks * 10**6, a_second)
    if rest:
        return None
    try:
        return _EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        return None
