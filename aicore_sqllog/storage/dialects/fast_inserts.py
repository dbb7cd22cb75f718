"""
Inserts that are faster than the ORM's for one database each; what they store is the same.

They take rows as tuples in the order of the table's columns, with values as a call record holds them:
ids and documents as text, instants aware and in UTC.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import cache
from itertools import chain
from typing import Any, TypeAlias

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

__all__ = ["FastInsert", "insert_by_driver", "insert_from_json", "insert_many_values"]

FastInsert: TypeAlias = Callable[[sa.Connection, Any, Sequence[Sequence[Any]]], None]
"""Inserts rows, of which none is stored, inside a transaction that is open."""

_PARAMETERS = 5_000 if sqlite3.sqlite_version_info >= (3, 32) else 999
"""Of one statement: each has to wait for the interpreter again, and much larger ones are no faster."""

_LARGEST_ARRAY = 8 * 1024**2
"""Bytes: the server, too, holds the whole of it more than once."""

_TEXT_LENGTH = len("YYYY-MM-DD HH:MM:SS.ffffff")


def insert_many_values(connection: sa.Connection, table: sa.Table, rows: Sequence[Sequence[Any]]) -> None:
    """Insert *rows* with many in one ``VALUES``, which halves what SQLite needs for a row."""
    instants = _instants(table)
    columns = len(table.columns)
    for chunk in _chunks(rows, _PARAMETERS // columns):
        values = list(chain.from_iterable(chunk))
        for number in instants:
            values[number::columns] = map(_instant_text, values[number::columns])
        connection.exec_driver_sql(_values_statement(table, len(chunk)), tuple(values))


def insert_by_driver(connection: sa.Connection, table: sa.Table, rows: Sequence[Sequence[Any]]) -> None:
    """Insert *rows* as the driver of MySQL and MariaDB does many at once, by statements of about a megabyte."""
    for number in _instants(table):
        rows = [(*row[:number], _instant_text(row[number]), *row[number + 1 :]) for row in rows]
    if rows:
        names = ", ".join(f"`{column.name}`" for column in table.columns)
        marks = ", ".join(["%s"] * len(table.columns))
        connection.exec_driver_sql(f"INSERT INTO {table.name} ({names}) VALUES ({marks})", list(rows))


def insert_from_json(connection: sa.Connection, table: sa.Table, rows: Sequence[Sequence[Any]]) -> None:
    """Insert *rows* as one JSON array: one parameter and one round trip, the same for every driver of PostgreSQL."""
    documents = [number for number, column in enumerate(table.columns) if isinstance(_plain_type(column), sa.JSON)]
    array = orjson.dumps([_with_fragments(row, documents) for row in rows] if documents else rows)
    if len(array) > _LARGEST_ARRAY and len(rows) > 1:
        middle = len(rows) // 2
        insert_from_json(connection, table, rows[:middle])
        insert_from_json(connection, table, rows[middle:])
    elif rows:
        connection.execute(_json_statement(table), {"rows": array.decode()})


def _chunks(rows: Sequence[Sequence[Any]], size: int) -> Iterator[Sequence[Sequence[Any]]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _instant_text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat(" ", "microseconds")[:_TEXT_LENGTH]


def _with_fragments(row: Sequence[Any], documents: Iterable[int]) -> Sequence[Any]:
    """Return *row* with its documents, which are JSON text already, as they are and not as texts."""
    values = row
    for number in documents:
        if row[number] is not None:
            values = list(values)
            values[number] = orjson.Fragment(row[number])
    return values


@cache
def _values_statement(table: sa.Table, rows: int) -> str:
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    row = f"({', '.join('?' * len(table.columns))})"
    return f"INSERT INTO {table.name} ({names}) VALUES {', '.join([row] * rows)}"


@cache
def _json_statement(table: sa.Table) -> sa.Insert:
    rows = sa.cast(sa.bindparam("rows", type_=sa.Text()), postgresql.JSONB)
    row = sa.func.jsonb_array_elements(rows).column_valued("row")
    values = [_element(row, number, column) for number, column in enumerate(table.columns)]
    return sa.insert(table).from_select([column.name for column in table.columns], sa.select(*values))


def _element(row: sa.ColumnElement[Any], number: int, column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    kind = _plain_type(column)
    if isinstance(kind, sa.JSON):
        document: sa.ColumnElement[Any] = sa.func.nullif(
            row.op("->")(sa.literal_column(str(number))), sa.cast(sa.literal_column("'null'"), postgresql.JSONB)
        )
        return document
    text = row.op("->>", return_type=sa.Text())(sa.literal_column(str(number)))
    is_text = isinstance(kind, sa.String) and not isinstance(kind, sa.CHAR)  # which stands for a UUID
    return text if is_text else sa.cast(text, column.type)


def _plain_type(column: sa.Column[Any]) -> Any:
    """Return SQLAlchemy's own type behind a type of ours."""
    return column.type.impl_instance if isinstance(column.type, sa.TypeDecorator) else column.type


def _instants(table: sa.Table) -> list[int]:
    return [number for number, column in enumerate(table.columns) if isinstance(_plain_type(column), sa.DateTime)]
