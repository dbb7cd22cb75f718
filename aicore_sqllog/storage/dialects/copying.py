"""
PostgreSQL's COPY of what a Select finds, as CSV: twice as fast as fetching rows, through each driver's own way.

Parameters are bound, or quoted by the driver, never written by us.
"""

import io
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa

__all__ = ["copied_csv"]

_PLAIN = (str, int, float, Decimal, type(None))


def copied_csv(connection: sa.Connection, select: sa.Select[Any]) -> bytes | None:
    """Return the rows of *select* as CSV, without a header; None where this cannot, or may not, be asked so."""
    copy = _WAYS.get(connection.dialect.driver)
    if copy is None or connection.get_execution_options().get("schema_translate_map"):
        return None
    compiled = select.compile(dialect=connection.dialect, compile_kwargs={"render_postcompile": True})
    if any(isinstance(one.type, sa.types.TypeDecorator) and not _is_ours(one.type) for one in compiled.binds.values()):
        return None  # how somebody's own type is bound is SQLAlchemy's to say
    try:
        parameters = {name: _bound(value) for name, value in (compiled.params or {}).items()}
    except TypeError:
        return None
    names = getattr(compiled, "positiontup", None)
    return copy(connection.connection, str(compiled), parameters, [] if names is None else names)


def _is_ours(kind: Any) -> bool:
    return type(kind).__module__.startswith(__package__.partition(".")[0] + ".")


def _bound(value: Any) -> Any:
    """Return *value* as the drivers take it; TypeError if SQLAlchemy would have to say how."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if isinstance(value, UUID):
        return str(value)
    if type(value) not in (*_PLAIN, bool):
        raise TypeError
    return value


def _as_copy(statement: str) -> str:
    return f"COPY ({statement}) TO STDOUT (FORMAT csv)"


def _psycopg2(lent: Any, statement: str, parameters: Mapping[str, Any], _names: list[str]) -> bytes:
    found = io.BytesIO()
    with lent.dbapi_connection.cursor() as cursor:
        cursor.copy_expert(cursor.mogrify(_as_copy(statement), parameters), found)
    return found.getvalue()


def _psycopg(lent: Any, statement: str, parameters: Mapping[str, Any], _names: list[str]) -> bytes:
    driver = lent.driver_connection
    if hasattr(driver, "__aenter__"):
        awaited: bytes = sa.util.await_only(_psycopg_awaited(driver, statement, parameters))
        return awaited
    with driver.cursor() as cursor, cursor.copy(_as_copy(statement), parameters) as copy:
        return b"".join(bytes(block) for block in copy)


async def _psycopg_awaited(driver: Any, statement: str, parameters: Mapping[str, Any]) -> bytes:
    async with driver.cursor() as cursor, cursor.copy(_as_copy(statement), parameters) as copy:
        return b"".join([bytes(block) async for block in copy])


def _asyncpg(lent: Any, statement: str, parameters: Mapping[str, Any], names: list[str]) -> bytes:
    found = io.BytesIO()
    arguments = [parameters[name] for name in names]
    driver = lent.driver_connection
    sa.util.await_only(driver.copy_from_query(statement, *arguments, output=found, format="csv"))
    return found.getvalue()


_WAYS: Mapping[str, Callable[[Any, str, Mapping[str, Any], list[str]], bytes]] = {
    "psycopg2": _psycopg2,
    "psycopg": _psycopg,
    "psycopg_async": _psycopg,
    "asyncpg": _asyncpg,
}
