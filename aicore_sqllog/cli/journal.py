"""
Commands over what is kept on disk because the database did not take it.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from aicore_sqllog.cli.command import Command
from aicore_sqllog.cli.exits import DONE, NOT_SO, say
from aicore_sqllog.cli.options import add_connection
from aicore_sqllog.cli.output import add_formats, emit
from aicore_sqllog.cli.progress import Progress
from aicore_sqllog.journal.dead_letters import DeadLetter, read_what_can_be
from aicore_sqllog.record.codec import to_document
from aicore_sqllog.storage.connection import resolve
from aicore_sqllog.transfer.replay import files_of, replay

__all__ = ["COMMANDS", "HELP"]

HELP = "what the database did not take: inspect, verify, replay, export"

_SHOWN = {
    "at": pl.Datetime("us", "UTC"), "destination": pl.String, "reason": pl.String, "operation_id": pl.String,
    "timestamp": pl.Datetime("us", "UTC"), "provider": pl.String, "model": pl.String, "input_tokens": pl.Int64,
    "output_tokens": pl.Int64, "cost": pl.Float64, "status": pl.String, "message_count": pl.Int64, "file": pl.String,
}  # fmt: skip
_CONTENT = {"error_message": pl.String, "extras": pl.String, "messages": pl.String}


def _add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="PATH",
        help="files or folders; the user's state directory if none is given",
    )


def _letters(files: list[Path]) -> Iterator[tuple[Path, DeadLetter]]:
    """Yield what can be read, and tell what cannot."""
    for path in files:
        for found in read_what_can_be(path):
            if isinstance(found, DeadLetter):
                yield path, found
            else:
                say(f"{found}.")


def _add_inspect(parser: argparse.ArgumentParser) -> None:
    _add_files(parser)
    parser.add_argument("--content", action="store_true", help="with errors' texts, extras and messages")
    add_formats(parser)


def _inspect(chosen: argparse.Namespace) -> int:
    schema: dict[str, Any] = {**_SHOWN, **(_CONTENT if chosen.content else {})}
    rows = [_row(path, letter, schema) for path, letter in _letters(files_of(chosen.files))]
    emit(pl.DataFrame(rows, schema=schema), chosen)
    return DONE


def _row(path: Path, letter: DeadLetter, schema: dict[str, Any]) -> dict[str, Any]:
    record = letter.record
    beside = {
        "at": letter.at,
        "destination": letter.destination,
        "reason": letter.reason,
        "file": path.name,
        "message_count": len(record.messages),
        "messages": orjson.dumps([message._asdict() for message in record.messages]).decode(),
    }
    return {name: beside[name] if name in beside else getattr(record, name) for name in schema}


def _verify(chosen: argparse.Namespace) -> int:
    faults = letters = 0
    files = files_of(chosen.files)
    for path in files:
        for found in read_what_can_be(path):
            is_whole = isinstance(found, DeadLetter)
            letters, faults = letters + is_whole, faults + (not is_whole)
            if not is_whole:
                print(found)
    print(f"{letters} records can be read, {faults} cannot, in {len(files)} files")
    return NOT_SO if faults else DONE


def _add_replay(parser: argparse.ArgumentParser) -> None:
    add_connection(parser)
    _add_files(parser)
    parser.add_argument("--any-destination", action="store_true", help="also what another database had refused")
    parser.add_argument("--remove", action="store_true", help="remove each file of which all is stored now")
    parser.add_argument("--quiet", action="store_true", help="tell no progress")


def _replay(chosen: argparse.Namespace) -> int:
    place = resolve(chosen.connection, schema=chosen.schema)
    with Progress("replayed", is_quiet=chosen.quiet) as progress:
        result = replay(
            place,
            files_of(chosen.files),
            any_destination=chosen.any_destination,
            remove=chosen.remove,
            progress=progress,
        )
    print(
        f"{result.stored} stored, {result.stored_before} were there already, {result.refused} refused again, "
        f"{result.of_others} of other databases, {result.unreadable} unreadable; {result.removed_files} files removed"
    )
    return DONE if result.is_all_stored else NOT_SO


def _add_export(parser: argparse.ArgumentParser) -> None:
    _add_files(parser)
    parser.add_argument("--no-content", action="store_true", help="leave errors' texts, extras and messages out")


def _export(chosen: argparse.Namespace) -> int:
    for _, letter in _letters(files_of(chosen.files)):
        record = to_document(letter.record)
        if chosen.no_content:
            record = {name: value for name, value in record.items() if name not in _CONTENT}
            record["session"] = {name: value for name, value in record["session"].items() if name != "metadata"}
        head = {"at": letter.at, "destination": letter.destination, "reason": letter.reason}
        sys.stdout.write(orjson.dumps({**head, "record": record}, option=orjson.OPT_APPEND_NEWLINE).decode())
    return DONE


COMMANDS = (
    Command("inspect", "print what is kept, and why; without content unless it is asked for", _add_inspect, _inspect),
    Command("verify", "exit with 0 if every record that is kept can be read", _add_files, _verify),
    Command("replay", "store what is kept in the database that had refused it", _add_replay, _replay),
    Command("export", "print what is kept as JSON lines", _add_export, _export),
)
