"""
What a command prints: a frame as a table that fits the terminal, or as JSON, CSV or Parquet.

Colours are for terminals alone, and not where ``$NO_COLOR`` is set. What comes from the log cannot steer the terminal:
control characters are shown, not sent.
"""

import argparse
import importlib.util
import re
import shutil
import sys
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
import polars as pl

__all__ = ["add_formats", "emit", "is_plain_table", "print_text", "visible"]

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_DOCUMENTS = frozenset({"extras", "session_metadata", "parts"})
_UNCUT = frozenset({"timestamp", "operation_id"})
"""Of use only as a whole."""

_SEPARATOR = "  "
_NARROWEST = 8


def add_formats(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how the answer is printed."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--json", action="store_const", const="json", dest="output", help="print JSON: an array")
    group.add_argument("--jsonl", action="store_const", const="jsonl", dest="output", help="print JSON lines")
    group.add_argument("--csv", action="store_const", const="csv", dest="output", help="print CSV with a head")
    group.add_argument("--parquet", metavar="FILE", help="write a Parquet file; - is stdout")


def is_plain_table(chosen: argparse.Namespace) -> bool:
    """Whether a table was asked for, and nothing for programs."""
    return chosen.output is None and chosen.parquet is None


def emit(frame: pl.DataFrame, chosen: argparse.Namespace) -> None:
    """Print *frame* as the options say."""
    if chosen.parquet is not None:
        if chosen.parquet == "-":
            frame.write_parquet(sys.stdout.buffer)
        else:
            frame.write_parquet(chosen.parquet)
    elif chosen.output == "csv":
        sys.stdout.write(_with_text_columns(frame).write_csv())
    elif chosen.output in ("json", "jsonl"):
        _emit_json(frame, is_array=chosen.output == "json")
    else:
        _emit_table(frame)


def print_text(text: str, style: str = "") -> None:
    """Print *text*, from the log or ours, in a style of rich's where there are colours."""
    console = _console()
    if console is None or not style:
        print(visible(text))
    else:
        console.print(visible(text), style=style, markup=False, highlight=False, soft_wrap=True)


def visible(text: str) -> str:
    """Return *text* with control characters, which would steer the terminal, made visible."""
    return _CONTROL.sub(lambda found: _picture(ord(found.group())), text)


def _picture(code: int) -> str:
    return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else f"<U+{code:04X}>"


def _emit_json(frame: pl.DataFrame, *, is_array: bool) -> None:
    lines = (orjson.dumps(_decoded(row)).decode() for row in frame.iter_rows(named=True))
    if not is_array:
        for line in lines:
            print(line)
        return
    separator = "["
    for line in lines:
        print(separator + line, end="")
        separator = ",\n "
    print("]" if separator != "[" else "[]")


def _decoded(row: dict[str, Any]) -> dict[str, Any]:
    """Return *row* with its documents as documents, those of its messages too."""
    for name, value in row.items():
        if name in _DOCUMENTS and isinstance(value, str):
            row[name] = orjson.loads(value)
        elif isinstance(value, list):
            row[name] = [_decoded(item) if isinstance(item, dict) else item for item in value]
    return row


def _with_text_columns(frame: pl.DataFrame) -> pl.DataFrame:
    """Return *frame* with lists, which CSV has not, as JSON."""
    nested = [name for name, dtype in frame.schema.items() if dtype.is_nested()]
    texts = [
        pl.Series(
            name, [None if v is None else orjson.dumps(v).decode() for v in frame[name].to_list()], dtype=pl.String
        )
        for name in nested
    ]
    return frame.with_columns(texts)


def _emit_table(frame: pl.DataFrame) -> None:
    console = _console()
    names, numeric = frame.columns, [dtype.is_numeric() for dtype in frame.schema.values()]
    cells = [[_cell(value) for value in frame[name].to_list()] for name in names]
    heads = [
        name.replace("_", "\n") if console and is_number else name
        for name, is_number in zip(names, numeric, strict=True)
    ]
    widths = [max(map(_width, [*head.split("\n"), *column])) for head, column in zip(heads, cells, strict=True)]
    if sys.stdout.isatty():
        room = shutil.get_terminal_size().columns - len(_SEPARATOR) * len(widths)
        texts = [position for position, is_number in enumerate(numeric) if not is_number]
        _cut(widths, [position for position in texts if names[position] not in _UNCUT], room)
        _cut(widths, texts, room)
    if console is not None:
        _emit_rich(console, heads, widths, cells, numeric)
        return
    for row in [heads, *zip(*cells, strict=True)]:
        fitted = [_pad(text, width, right) for text, width, right in zip(row, widths, numeric, strict=True)]
        print(_SEPARATOR.join(fitted).rstrip())


def _cut(widths: list[int], positions: Sequence[int], room: int) -> None:
    """Make the widest of the columns at *positions* narrower until all have *room*, or none is wide any more."""
    while positions and sum(widths) > room:
        widest = max(positions, key=widths.__getitem__)
        if widths[widest] <= _NARROWEST:
            return
        others = max([widths[position] for position in positions if position != widest], default=_NARROWEST)
        widths[widest] = max(_NARROWEST, min(others, widths[widest] - 1), widths[widest] - (sum(widths) - room))


def _emit_rich(
    console: Any, heads: Sequence[str], widths: Sequence[int], cells: Sequence[Sequence[str]], numeric: Sequence[bool]
) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, len(_SEPARATOR) // 2))
    for head, is_number, width in zip(heads, numeric, widths, strict=True):
        justify: Any = "right" if is_number else "left"
        table.add_column(head, justify=justify, no_wrap=True, overflow="ellipsis", width=width)
    for row in zip(*cells, strict=True):
        texts = (Text(text, style="red" if text == "error" else "") for text in row)
        table.add_row(*texts)
    console.print(table)


def _console() -> Any:
    """Return rich's console where stdout is a terminal and rich is installed, else None."""
    if not sys.stdout.isatty() or importlib.util.find_spec("rich") is None:
        return None
    from rich.console import Console

    return Console()  # which heeds NO_COLOR and TERM


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds").removesuffix("+00:00")
    if isinstance(value, float):
        return f"{value:.6g}"
    text = value if isinstance(value, str) else orjson.dumps(value).decode() if isinstance(value, list) else str(value)
    return visible(" ".join(text[:2_000].split()))


def _pad(text: str, width: int, right: bool) -> str:
    while _width(text) > width:
        text = text[: -max(2, (_width(text) - width) // 2 + 1)] + "…"
    padding = " " * (width - _width(text))
    return padding + text if right else text + padding


def _width(text: str) -> int:
    """Return how many columns of a terminal *text* takes."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
