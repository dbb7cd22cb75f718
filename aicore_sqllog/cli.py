"""
The command line: the tables, looked at and migrated.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import sqlalchemy as sa

from aicore_sqllog.errors import SQLLogError
from aicore_sqllog.storage.connection import Place, resolve, show_url
from aicore_sqllog.storage.create import create_if_missing
from aicore_sqllog.storage.engines import open_database
from aicore_sqllog.storage.faults import diagnose
from aicore_sqllog.storage.migrate import downgrade, ensure_schema, upgrade
from aicore_sqllog.storage.revisions import HEAD, REVISIONS, Found, look

__all__ = ["main"]

T = TypeVar("T")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that *arguments* name; return the exit code: 0, 1 if a check fails, 2 if it cannot be done."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    try:
        place = resolve(chosen.connection, schema=chosen.schema)
        return int(chosen.run(place, chosen))
    except (SQLLogError, sa.exc.SQLAlchemyError, OSError) as exc:
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
        if target != "":
            command.add_argument("revision", nargs="?" if target else None, default=target, choices=targets)
    return parser


def _upgrade(place: Place, chosen: argparse.Namespace) -> int:
    def work(connection: sa.Connection) -> Found:
        upgrade(connection, place.schema, chosen.revision)
        return look(connection, place.schema)

    try:
        found = _run(place, work)
    except sa.exc.DBAPIError as exc:
        if not create_if_missing(place.url, exc):
            raise
        found = _run(place, work)
    print(f"{show_url(place.url)} is at revision {found.revision}")
    return 0


def _downgrade(place: Place, chosen: argparse.Namespace) -> int:
    _run(place, lambda connection: downgrade(connection, place.schema, chosen.revision))
    print(f"{show_url(place.url)} is at revision {chosen.revision}")
    return 0


def _current(place: Place, _chosen: argparse.Namespace) -> int:
    found = _run(place, lambda connection: look(connection, place.schema))
    print(found.revision or "none")
    return 0


def _check(place: Place, _chosen: argparse.Namespace) -> int:
    try:
        _run(place, lambda connection: ensure_schema(connection, place.schema, "check", print))
    except SQLLogError as exc:
        print(f"aicore-sqllog: {exc}", file=sys.stderr)
        return 1
    return 0


def _run(place: Place, work: Callable[[sa.Connection], T]) -> T:
    database = open_database(place)
    try:
        return database.run(work)
    finally:
        database.close()
