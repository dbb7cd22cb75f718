"""
SQL that a database decides, for Selects that are built without knowing the database.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import NullType

from aicore_sqllog.storage.dialects.json_members import JsonKind, JsonPart, JsonPath
from aicore_sqllog.storage.dialects.lookup import dialect_of

__all__ = [
    "by_code_point",
    "json_equals",
    "json_is_null",
    "json_text",
    "plain_instant",
    "text_position",
    "unix_seconds",
    "whole_division",
]


class by_code_point(FunctionElement[Any]):  # noqa: N801  # used as SQLAlchemy's own functions are
    """A text that sorts and compares code point by code point, whatever the database's collation is."""

    inherit_cache = True
    type = sa.Text()


class text_position(FunctionElement[int]):  # noqa: N801
    """Where in a text, the first argument, another begins, from 1; 0 where it does not. No wildcards, case counts."""

    inherit_cache = True
    type = sa.Integer()


class plain_instant(FunctionElement[Any]):  # noqa: N801
    """
    An instant as a value that no setting of the session changes: microseconds since 1970, or SQLite's text.

    One that a Python datetime cannot hold (before the year 1, after 9999, infinite) is the nearest that it can.
    """

    inherit_cache = True
    type = NullType()


class unix_seconds(FunctionElement[int]):  # noqa: N801
    """The whole second since 1970 in which an instant lies, as a number that no setting of the session changes."""

    inherit_cache = True
    type = sa.BigInteger()


class whole_division(FunctionElement[int]):  # noqa: N801
    """The whole part of the quotient of two whole numbers, neither of them negative."""

    inherit_cache = True
    type = sa.BigInteger()


class json_equals(FunctionElement[bool]):  # noqa: N801
    """
    Whether a member of a document, the first argument, equals the last argument: of the same JSON type, same value.

    The arguments between are the steps of the member's path: a text is a key, as it is; a number a place in a list.
    """

    inherit_cache = True
    type = sa.Boolean()


class json_is_null(FunctionElement[bool]):  # noqa: N801
    """Whether a member of a document, the first argument, is JSON's null or not there; the others are its path."""

    inherit_cache = True
    type = sa.Boolean()


class json_text(FunctionElement[str]):  # noqa: N801
    """
    A member of a document, the first argument, as text; NULL where it is null or not there. The others are its path.

    A text is itself, a number with no needless zeros, true and false are in lower case, the rest is JSON.
    """

    inherit_cache = True
    type = sa.Text()


@compiles(by_code_point)
def _by_code_point(element: by_code_point, compiler: SQLCompiler, **options: Any) -> str:
    (column,) = element.clauses
    return compiler.process(dialect_of(compiler.dialect).by_code_point(column), **options)


@compiles(text_position)
def _text_position(element: text_position, compiler: SQLCompiler, **options: Any) -> str:
    column, text = element.clauses
    return compiler.process(dialect_of(compiler.dialect).text_position(column, text), **options)


@compiles(plain_instant)
def _plain_instant(element: plain_instant, compiler: SQLCompiler, **options: Any) -> str:
    (column,) = element.clauses
    return compiler.process(dialect_of(compiler.dialect).plain_instant(column), **options)


@compiles(unix_seconds)
def _unix_seconds(element: unix_seconds, compiler: SQLCompiler, **options: Any) -> str:
    (column,) = element.clauses
    return compiler.process(dialect_of(compiler.dialect).unix_seconds(column), **options)


@compiles(whole_division)
def _whole_division(element: whole_division, compiler: SQLCompiler, **options: Any) -> str:
    dividend, divisor = (compiler.process(clause.self_group(), **options) for clause in element.clauses)
    return dialect_of(compiler.dialect).whole_division(dividend, divisor)


@compiles(json_equals)
def _json_equals(element: json_equals, compiler: SQLCompiler, **options: Any) -> str:
    *member, value = element.clauses
    path = _path(member, compiler, options)
    return dialect_of(compiler.dialect).json_equals(path, _parts([value], compiler, options)[0])


@compiles(json_is_null)
def _json_is_null(element: json_is_null, compiler: SQLCompiler, **options: Any) -> str:
    return dialect_of(compiler.dialect).json_is_null(_path(element.clauses, compiler, options))


@compiles(json_text)
def _json_text(element: json_text, compiler: SQLCompiler, **options: Any) -> str:
    path = _path(element.clauses, compiler, options)
    return dialect_of(compiler.dialect).json_text(path, compiler.dialect)


def _path(clauses: Iterable[Any], compiler: SQLCompiler, options: Any) -> JsonPath:
    document, *steps = clauses
    return JsonPath(compiler.process(document, **options), _parts(steps, compiler, options))


def _parts(clauses: Iterable[Any], compiler: SQLCompiler, options: Any) -> list[JsonPart]:
    return [JsonPart(compiler.process(clause, **options), _KINDS[type(clause.type)]) for clause in clauses]


_KINDS: Mapping[type, JsonKind] = {
    sa.Boolean: "boolean",
    sa.BigInteger: "integer",
    sa.Double: "number",
    sa.Text: "text",
}
