"""
SQL that a database decides, for Selects that are built without knowing the database.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import NullType

from aicore_sqllog.storage.dialects.lookup import dialect_of

__all__ = ["by_code_point", "plain_instant", "text_position"]


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
