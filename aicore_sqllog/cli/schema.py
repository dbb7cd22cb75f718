"""
Commands about the tables: looked at, and migrated.
"""

import argparse
from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa

from aicore_sqllog.cli.command import Command
from aicore_sqllog.cli.exits import CANNOT, DONE, NOT_SO, say
from aicore_sqllog.cli.options import add_connection
from aicore_sqllog.cli.upkeep import is_agreed_to
from aicore_sqllog.errors import LogNotFoundError, SchemaError
from aicore_sqllog.storage.connection import Place, resolve, show_url
from aicore_sqllog.storage.downgrading import what_is_lost
from aicore_sqllog.storage.engines import open_database, reader_engine
from aicore_sqllog.storage.migrate import downgrade, ensure_schema
from aicore_sqllog.storage.preparation import bring_up, migrate
from aicore_sqllog.storage.revisions import HEAD, REVISIONS, look
from aicore_sqllog.storage.transactions import reading

__all__ = ["COMMANDS"]

T = TypeVar("T")

_TARGETS = ("base", *REVISIONS)


def _add_upgrade(parser: argparse.ArgumentParser) -> None:
    add_connection(parser)
    parser.add_argument("revision", nargs="?", default=HEAD, choices=_TARGETS)


def _add_downgrade(parser: argparse.ArgumentParser) -> None:
    add_connection(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask before anything is dropped")
    parser.add_argument("revision", choices=_TARGETS)


def _upgrade(chosen: argparse.Namespace) -> int:
    place = _place(chosen)
    found = bring_up(place, chosen.revision)
    print(f"{show_url(place.url)} is at revision {found.revision}")
    return DONE


def _downgrade(chosen: argparse.Namespace) -> int:
    place = _place(chosen)
    lost = _read(place, lambda connection: what_is_lost(connection, place.schema, chosen.revision))
    for line in lost:
        print(line)
    if lost and not (chosen.yes or is_agreed_to("All of this is lost. Go on?")):
        say("nothing was changed. Give --yes to go on without being asked.")
        return CANNOT
    migrate(place, lambda connection: downgrade(connection, place.schema, chosen.revision))
    print(f"{show_url(place.url)} is at revision {chosen.revision}")
    return DONE


def _current(chosen: argparse.Namespace) -> int:
    place = _place(chosen)
    print(_read(place, lambda connection: look(connection, place.schema)).revision or "none")
    return DONE


def _check(chosen: argparse.Namespace) -> int:
    place = _place(chosen)
    try:
        _read(place, lambda connection: ensure_schema(connection, place.schema, "check", print))
    except (SchemaError, LogNotFoundError) as exc:
        say(str(exc))
        return NOT_SO
    return DONE


def _place(chosen: argparse.Namespace) -> Place:
    return resolve(chosen.connection, schema=chosen.schema)


def _read(place: Place, work: Callable[[sa.Connection], T]) -> T:
    """Do *work* through a connection that can create nothing, neither a file nor a table."""
    if place.file is None:
        database = open_database(place)  # which also knows what to do with an asynchronous driver alone
        try:
            return database.run(work)
        finally:
            database.close()
    engine = reader_engine(place)
    try:
        with reading(engine, is_lent=False) as connection:
            return work(connection)
    finally:
        engine.dispose()


COMMANDS = (
    Command("upgrade", "create the tables, or bring them up to date", _add_upgrade, _upgrade),
    Command("downgrade", "bring the tables down; what the dropped columns held is lost", _add_downgrade, _downgrade),
    Command("current", "print the revision of the tables", add_connection, _current),
    Command("check", "exit with 0 if the tables are those that this version needs", add_connection, _check),
)
