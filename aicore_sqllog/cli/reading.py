"""
Commands that show calls: ``list``, ``show``, ``search`` and ``tail``.
"""

import argparse
from typing import Any
from uuid import UUID

import polars as pl

from aicore_sqllog.cli.command import Command
from aicore_sqllog.cli.exits import DONE, NOT_SO, UsageError, say
from aicore_sqllog.cli.following import follow, lines_of
from aicore_sqllog.cli.options import add_connection, add_filters, add_limit, chosen_filters
from aicore_sqllog.cli.output import add_formats, emit, is_plain_table, print_text
from aicore_sqllog.reader import LogReader
from aicore_sqllog.storage.models import LlmOperation

__all__ = ["COMMANDS", "opened", "print_messages"]

_COLUMNS = (
    "timestamp", "operation_id", "model", "input_tokens", "output_tokens", "latency_ms",
    "cost", "status",
)  # fmt: skip
_SHORTEST_PREFIX = 8
_SNIPPET = 60


def opened(chosen: argparse.Namespace) -> LogReader:
    """Return a reader of the log that the options name."""
    return LogReader(chosen.connection, schema=chosen.schema)


def _add_list(parser: argparse.ArgumentParser) -> None:
    add_connection(parser)
    add_limit(parser, 20)
    parser.add_argument("--columns", help="which, with commas between; all for --json, --jsonl, --csv and --parquet")
    parser.add_argument("--order-by", default="timestamp", metavar="COLUMN", help="timestamp, where it is left out")
    parser.add_argument("--ascending", action="store_true", help="the other way round: the oldest first")
    parser.add_argument("--messages", action="store_true", help="with the messages of each call")
    add_formats(parser)
    add_filters(parser)


def _list(chosen: argparse.Namespace) -> int:
    with opened(chosen) as log:
        frame = log.operations(
            columns=_columns(chosen),
            include_messages=chosen.messages,
            order_by=chosen.order_by,
            descending=not chosen.ascending,
            limit=chosen.limit,
            **chosen_filters(chosen),
        )
    emit(frame, chosen)
    return DONE


def _columns(chosen: argparse.Namespace) -> list[str] | None:
    if chosen.columns:
        return [name.strip().replace("-", "_") for name in chosen.columns.split(",")]
    return list(_COLUMNS) if is_plain_table(chosen) else None


def _add_show(parser: argparse.ArgumentParser) -> None:
    add_connection(parser)
    parser.add_argument(
        "id", help="the operation's id, as it is stored or as you gave it, or its first 8 letters or more"
    )
    add_formats(parser)


def _show(chosen: argparse.Namespace) -> int:
    with opened(chosen) as log:
        frame = log.operations(operation_id=chosen.id, include_messages=True)
        if frame.is_empty():
            frame = log.operations(where=_begins_with(chosen.id), include_messages=True, limit=2)
    if frame.height != 1:
        say(f"there {'is no operation' if frame.is_empty() else 'are several operations with the id'} {chosen.id!r}.")
        return NOT_SO
    if not is_plain_table(chosen):
        emit(frame, chosen)
        return DONE
    (operation,) = frame.to_dicts()
    for name, value in operation.items():
        if value is not None and name != "messages":
            print_text(f"{name:24}{value}")
    print_messages(operation["messages"])
    return DONE


def _begins_with(text: str) -> Any:
    """Return the condition that an id begins with *text*; as a range, which an index serves on every database."""
    digits = text.replace("-", "").lower()
    if len(digits) < _SHORTEST_PREFIX or len(digits) > 32 or set(digits) - set("0123456789abcdef"):
        digits = ""
    column = LlmOperation.operation_id
    if not digits:
        return column.is_(None)
    return (column >= UUID(digits.ljust(32, "0"))) & (column <= UUID(digits.ljust(32, "f")))


def print_messages(messages: list[dict[str, Any]]) -> None:
    """Print what was said, each message under its role."""
    for message in messages:
        print_text(f"\n── {message['role']}", style="bold cyan")
        if message["content"] is not None:
            print_text(message["content"])
        if message["parts"] is not None:
            print_text(message["parts"], style="dim")


def _add_search(parser: argparse.ArgumentParser) -> None:
    add_connection(parser)
    parser.add_argument("text", help="what a message must contain, character for character")
    add_limit(parser, 20)
    add_formats(parser)
    add_filters(parser, leave_out=frozenset({"content_contains"}))


def _search(chosen: argparse.Namespace) -> int:
    with opened(chosen) as log:
        frame = log.operations(
            columns=["timestamp", "operation_id", "model"],
            include_messages=True,
            descending=True,
            limit=chosen.limit,
            content_contains=chosen.text,
            **chosen_filters(chosen),
        )
    found = frame.explode("messages").unnest("messages")
    found = found.filter(pl.col("content").str.contains(chosen.text, literal=True))
    snippets = [_snippet(text, chosen.text) for text in found["content"]]
    emit(
        found.select("timestamp", "operation_id", "model", "role").with_columns(
            text=pl.Series(snippets, dtype=pl.String)
        ),
        chosen,
    )
    return DONE


def _snippet(text: str, wanted: str) -> str:
    at = text.find(wanted)
    start, end = max(0, at - _SNIPPET), at + len(wanted) + _SNIPPET
    return ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")


def _add_tail(parser: argparse.ArgumentParser) -> None:
    add_connection(parser)
    add_limit(parser, 10)
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what is stored from now on")
    parser.add_argument("--messages", action="store_true", help="with the last message of each call")
    parser.add_argument("--interval", type=float, default=1.0, metavar="SECONDS", help="between two looks, 1")
    add_formats(parser)
    add_filters(parser)


def _tail(chosen: argparse.Namespace) -> int:
    is_for_programs = not is_plain_table(chosen)
    if chosen.follow and is_for_programs and chosen.output != "jsonl":
        raise UsageError("--follow has no end: of the formats for programs it takes --jsonl alone.")
    with opened(chosen) as log:
        if chosen.follow:
            follow(log, chosen, chosen_filters(chosen))
        frame = log.operations(
            include_messages=chosen.messages, descending=True, limit=chosen.limit, **chosen_filters(chosen)
        ).reverse()
    if is_for_programs:
        emit(frame, chosen)
    else:
        lines_of(frame)
    return DONE


COMMANDS = (
    Command("list", "print the newest calls, or those that filters choose", _add_list, _list),
    Command("show", "print one call with its messages", _add_show, _show),
    Command("search", "print the messages that contain a text", _add_search, _search),
    Command("tail", "print the newest calls, oldest first; with -f also those to come", _add_tail, _tail),
)
