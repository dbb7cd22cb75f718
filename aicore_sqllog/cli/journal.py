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
from aicore_sqllog.journal.dead_letters import DeadLetter
from aicore_sqllog.record.call_record import CallRecord
from aicore_sqllog.record.codec import UnreadableRecordError, to_document
from aicore_sqllog.storage.connection import resolve
from aicore_sqllog.transfer.kept import Waiting, files_of, is_journal, read_kept
from aicore_sqllog.transfer.replay import replay

__all__ = ["COMMANDS", "HELP"]

HELP = "what the database did not take: inspect, verify, replay, export"

_SHOWN = {
    "at": pl.Datetime("us", "UTC"), "destination": pl.String, "reason": pl.String, "operation_id": pl.String,
    "timestamp": pl.Datetime("us", "UTC"), "provider": pl.String, "model": pl.String, "input_tokens": pl.Int64,
    "output_tokens": pl.Int64, "cost": pl.Float64, "status": pl.String, "message_count": pl.Int64, "file": pl.String,
}  # fmt: skip
_WAITING = "waits in the journal"
_CONTENT = {"error_message": pl.String, "extras": pl.String, "messages": pl.String}


def _add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="PATH",
        help="files or folders; the user's state directory if none is given",
    )


def _kept(files: list[Path]) -> Iterator[tuple[Path, DeadLetter | Waiting]]:
    """Yield what can be read, and tell what cannot."""
    for path in files:
        for found in read_kept(path):
            if isinstance(found, UnreadableRecordError):
                say(f"{found}.")
            else:
                yield path, found


def _add_inspect(parser: argparse.ArgumentParser) -> None:
    _add_files(parser)
    parser.add_argument("--content", action="store_true", help="with errors' texts, extras and messages")
    add_formats(parser)


def _inspect(chosen: argparse.Namespace) -> int:
    schema: dict[str, Any] = {**_SHOWN, **(_CONTENT if chosen.content else {})}
    rows = [_row(path, kept, schema) for path, kept in _kept(files_of(chosen.files))]
    emit(pl.DataFrame(rows, schema=schema), chosen)
    return DONE


def _row(path: Path, kept: DeadLetter | Waiting, schema: dict[str, Any]) -> dict[str, Any]:
    record = kept.record
    found: dict[str, Any] = {"reason": _WAITING, "file": path.name}
    if isinstance(kept, DeadLetter):
        found |= {"at": kept.at, "destination": kept.destination, "reason": kept.reason}
    return {name: found[name] if name in found else _value(record, name) for name in schema}


def _value(record: CallRecord | None, name: str) -> Any:
    if record is None or name in ("at", "destination"):
        return None
    if name == "message_count":
        return len(record.messages)
    if name == "messages":
        return orjson.dumps([message._asdict() for message in record.messages]).decode()
    return getattr(record, name)


def _verify(chosen: argparse.Namespace) -> int:
    faults = letters = 0
    files = files_of(chosen.files)
    for path in files:
        for found in read_kept(path):
            is_whole = not isinstance(found, UnreadableRecordError)
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
    files = [path for path in files_of(chosen.files) if not is_journal(path)]
    with Progress("replayed", is_quiet=chosen.quiet) as progress:
        result = replay(
            place,
            files,
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
    for _, kept in _kept(files_of(chosen.files)):
        if kept.record is None:
            say("a record waits in the journal as it was logged: the next handler stores it.")
            continue
        record = to_document(kept.record)
        if chosen.no_content:
            record = {name: value for name, value in record.items() if name not in _CONTENT}
            record["session"] = {name: value for name, value in record["session"].items() if name != "metadata"}
        head = kept._asdict() if isinstance(kept, DeadLetter) else {"reason": _WAITING}
        sys.stdout.write(orjson.dumps({**head, "record": record}, option=orjson.OPT_APPEND_NEWLINE).decode())
    return DONE


COMMANDS = (
    Command("inspect", "print what is kept, and why; without content unless it is asked for", _add_inspect, _inspect),
    Command("verify", "exit with 0 if every record that is kept can be read", _add_files, _verify),
    Command("replay", "store what is kept in the database that had refused it", _add_replay, _replay),
    Command("export", "print what is kept as JSON lines", _add_export, _export),
)
