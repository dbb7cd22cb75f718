"""
A database made ready to be written to: there, with the tables that this version needs.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import sqlalchemy as sa

from aicore_sqllog.errors import SchemaError
from aicore_sqllog.storage.connection import Place
from aicore_sqllog.storage.create import create_if_missing
from aicore_sqllog.storage.database import Database
from aicore_sqllog.storage.dialects.generic import Purpose
from aicore_sqllog.storage.dialects.lookup import dialect_of
from aicore_sqllog.storage.engines import open_database
from aicore_sqllog.storage.migrate import MigrateMode, Say, ensure_schema, upgrade
from aicore_sqllog.storage.revisions import HEAD, Found, look

__all__ = ["bring_up", "migrate", "prepare"]

T = TypeVar("T")


def prepare(database: Database, place: Place, options: Mapping[str, Any] | None, mode: MigrateMode, say: Say) -> None:
    """
    Make *database*, which is open at *place*, ready as *mode* says; where it is missing, ``"auto"`` creates it.

    Raises:
        ConfigurationError, SchemaError, DatabaseError, sqlalchemy.exc.DBAPIError: If it is not and cannot be.
    """

    def ensure(connection: sa.Connection) -> None:
        dialect_of(connection).refuse_unfit(connection)
        ensure_schema(connection, place.schema, mode, say)

    if mode != "auto":
        return database.run(ensure)
    try:
        is_ready = database.run(partial(_is_ready, schema=place.schema))
    except sa.exc.DBAPIError as exc:
        _create(place, exc, say)
        is_ready = False
    return None if is_ready else migrate(place, ensure, options, database)


def bring_up(place: Place, revision: str) -> Found:
    """Bring the tables at *place* up to *revision*, in a database that is created where it is missing."""

    def work(connection: sa.Connection) -> Found:
        upgrade(connection, place.schema, revision)
        return look(connection, place.schema)

    try:
        return migrate(place, work)
    except sa.exc.DBAPIError as exc:
        _create(place, exc, lambda text: None)
    return migrate(place, work)


def migrate(
    place: Place,
    work: Callable[[sa.Connection], T],
    options: Mapping[str, Any] | None = None,
    open_already: Database | None = None,
) -> T:
    """
    Do *work*, which changes tables, through a connection that waits for as long as that takes.

    A writer's connection gives an answer a minute. A file has no such limit, and a lent engine its own:
    there *open_already* is used.
    """
    if open_already is not None and (place.file is not None or place.borrowed is not None):
        return open_already.run(work)
    database = open_database(place, options, Purpose.MIGRATE)
    try:
        return database.run(work)
    finally:
        database.close()


def _is_ready(connection: sa.Connection, schema: str | None) -> bool:
    dialect_of(connection).refuse_unfit(connection)
    try:
        found = look(connection, schema)
    except SchemaError:
        return False  # told where others that migrate are kept out: MySQL shows no table that is being changed
    return found.stamped == found.shown == HEAD


def _create(place: Place, exc: sa.exc.DBAPIError, say: Say) -> None:
    made = create_if_missing(place.url, exc)
    if made is None:
        raise exc
    if made == "created":
        say(f"created the database {place.url.database} on {place.url.host}.")
