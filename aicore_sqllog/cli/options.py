"""
The options that commands share. Those for filters are made from the reader's table of filters, and have their names.
"""

import argparse
import json
from collections.abc import Mapping
from typing import Any

from aicore_sqllog.cli.exits import UsageError
from aicore_sqllog.querying.filters import Filters
from aicore_sqllog.record.columns import COLUMNS, Column, ColumnKind

__all__ = ["add_connection", "add_filters", "add_limit", "chosen_filters", "filter_names", "number", "rows"]

_OF_DOCUMENTS = ("extras", "session_metadata")
_NO_OPTION = ("where",)
"""Python expressions."""

_BY_FILTER: Mapping[str, Column] = {name: column for column in COLUMNS for name in column.filters}
_NUMBERS = frozenset({ColumnKind.COUNT, ColumnKind.AMOUNT})
_OTHER_HELP = {
    "start_date": "from this day or time on, in UTC, such as 2026-01-31 or 2026-01-31T12:00",
    "end_date": "until the end of this day, or before this time",
    "min_tokens": "input and output together, at least",
    "max_tokens": "input and output together, at most",
    "content_contains": "calls with a message whose text contains this, character for character",
}


def add_connection(parser: argparse.ArgumentParser) -> None:
    """Add what says where the log is."""
    parser.add_argument(
        "--connection", help="a SQLAlchemy URL; else $CONNECTION_STRING, then sqlite:///aicore_sqllog.db"
    )
    parser.add_argument("--schema", help="the database schema of the tables, where it is not the default one")


def add_limit(parser: argparse.ArgumentParser, limit: int) -> None:
    """Add how many rows are printed, *limit* where nothing is said."""
    parser.add_argument("-n", "--limit", type=rows, default=limit, help=f"how many at most, {limit}; 0 is all")


def rows(text: str) -> int | None:
    """Return how many rows *text* asks for; None is all."""
    found = int(text)
    if found < 0:
        raise argparse.ArgumentTypeError("a number from 0 on")
    return found or None


def filter_names() -> list[str]:
    """Return the reader's filters that can be options."""
    return [name for name in Filters.__annotations__ if name not in _NO_OPTION]


def add_filters(parser: argparse.ArgumentParser, leave_out: frozenset[str] = frozenset()) -> None:
    """Add an option for each of the reader's filters, but those of *leave_out*."""
    group = parser.add_argument_group("filters", "Combined with and; one that may be repeated means one of.")
    for name in filter_names():
        if name not in leave_out:
            group.add_argument(_flag(name), dest=f"filter_{name}", **_settings(name))


def chosen_filters(chosen: argparse.Namespace) -> dict[str, Any]:
    """Return the filters that were given, as the reader takes them."""
    given = {name: getattr(chosen, f"filter_{name}", None) for name in filter_names()}
    found = {name: value for name, value in given.items() if value is not None}
    for name in _OF_DOCUMENTS:
        if name in found:
            found[name] = dict(_entry(name, text) for text in found[name])
    return found


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _settings(name: str) -> dict[str, Any]:
    if name in _OF_DOCUMENTS:
        text = 'a key and its JSON value, such as project="x" or \'["user","tier"]=3\'; may be repeated'
        return {"action": "append", "metavar": "KEY=VALUE", "help": text}
    column = _BY_FILTER.get(name)
    if column is not None and column.filters[name] == "one_of":
        return {"action": "append", "metavar": "TEXT", "help": _escaped(f"may be repeated. {column.description}")}
    if column is None or column.kind in _NUMBERS:
        text = _OTHER_HELP.get(name) or f"{column.name if column else name}, {name[:3]}imum"
        return {"type": number, "metavar": "NUMBER", "help": text}
    return {"metavar": "TEXT", "help": _OTHER_HELP[name]}


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def number(text: str) -> float | int:
    """Return the number that *text* is."""
    try:
        return int(text)
    except ValueError:
        return float(text)


def _entry(name: str, text: str) -> tuple[Any, Any]:
    """Return key and value of ``KEY=VALUE``: a key that is a JSON array is a path, a value that is no JSON a text."""
    key, is_there, value = text.partition("=")
    if text.startswith("["):
        try:
            path, end = json.JSONDecoder().raw_decode(text)
        except ValueError:
            path, end = None, 0
        if isinstance(path, list) and text[end : end + 1] == "=":
            return tuple(path), _json_or_text(text[end + 1 :])
    if not is_there:
        raise UsageError(f"--{name.replace('_', '-')} {text!r} cannot be right. Allowed: KEY=VALUE.")
    return key, _json_or_text(value)


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
