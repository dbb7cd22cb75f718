"""
The command line: the tables, looked at and migrated.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import sqlalchemy as sa

from aicore_sqllog.errors import LogNotFoundError, SchemaError
from aicore_sqllog.storage.connection import Place, resolve, show_url
from aicore_sqllog.storage.downgrading import what_is_lost
from aicore_sqllog.storage.engines import open_database, reader_engine
from aicore_sqllog.storage.faults import diagnose
from aicore_sqllog.storage.migrate import downgrade, ensure_schema
from aicore_sqllog.storage.preparation import bring_up, migrate
from aicore_sqllog.storage.revisions import HEAD, REVISIONS, look
from aicore_sqllog.storage.transactions import reading

__all__ = ["main"]

T = TypeVar("T")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that *arguments* name; return the exit code: 0, 1 if a check fails, 2 if it cannot be done."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    try:
        place = resolve(chosen.connection, schema=chosen.schema)
        return int(chosen.run(place, chosen))
    except KeyboardInterrupt:
        return 130
    except Exception as exc:  # whatever it is, a person is better served by a line than by a traceback
        print(f"aicore-sqllog: {diagnose(exc)}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="aicore-sqllog", description="The tables of aicore_sqllog.")
    commands = parser.add_subparsers(required=True, metavar="command")
    targets = ("base", *REVISIONS)
    for name, run, text, target in (
        ("upgrade", _upgrade, "create the tables, or bring them up to date", HEAD),
        ("downgrade", _downgrade, "bring the tables down; what the dropped columns held is lost", None),
        ("current", _current, "print the revision of the tables", ""),
        ("check", _check, "exit with 0 if the tables are those that this version needs", ""),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        command.add_argument(
            "--connection", help="a SQLAlchemy URL; else $CONNECTION_STRING, then sqlite:///aicore_sqllog.db"
        )
        command.add_argument("--schema", help="the database schema of the tables, where it is not the default one")
        if name == "downgrade":
            command.add_argument("--yes", action="store_true", help="do not ask before anything is dropped")
        if target != "":
            command.add_argument("revision", nargs="?" if target else None, default=target, choices=targets)
    return parser


def _upgrade(place: Place, chosen: argparse.Namespace) -> int:
    found = bring_up(place, chosen.revision)
    print(f"{show_url(place.url)} is at revision {found.revision}")
    return 0


def _downgrade(place: Place, chosen: argparse.Namespace) -> int:
    lost = _read(place, lambda connection: what_is_lost(connection, place.schema, chosen.revision))
    for line in lost:
        print(line)
    if lost and not (chosen.yes or _is_agreed_to()):
        print("aicore-sqllog: nothing was changed. Give --yes to go on without being asked.", file=sys.stderr)
        return 2
    migrate(place, lambda connection: downgrade(connection, place.schema, chosen.revision))
    print(f"{show_url(place.url)} is at revision {chosen.revision}")
    return 0


def _is_agreed_to() -> bool:
    """Ask the person at the terminal; without one the answer is no."""
    if sys.stdin is None or not sys.stdin.isatty():
        return False
    try:
        return input("All of this is lost. Go on? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _current(place: Place, _chosen: argparse.Namespace) -> int:
    print(_read(place, lambda connection: look(connection, place.schema)).revision or "none")
    return 0


def _check(place: Place, _chosen: argparse.Namespace) -> int:
    try:
        _read(place, lambda connection: ensure_schema(connection, place.schema, "check", print))
    except (SchemaError, LogNotFoundError) as exc:
        print(f"aicore-sqllog: {exc}", file=sys.stderr)
        return 1
    return 0


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
