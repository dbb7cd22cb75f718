"""
Calls as lines, and what is stored from now on, as ``tail -f`` shows it.
"""

import argparse
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import polars as pl

from aicore_sqllog.cli.output import emit, print_text
from aicore_sqllog.reader import LogReader

__all__ = ["follow", "lines_of"]

_OVERLAP = timedelta(minutes=2)
"""A call is stored some time after the moment that it tells, by several processes in any order."""

_SHORTEST_PAUSE = 0.1


def follow(log: LogReader, chosen: argparse.Namespace, filters: Mapping[str, Any]) -> NoReturn:
    """Print the newest calls, and then each that is stored, once, until Ctrl-C or a closed pipe."""
    newest = log.operations(include_messages=chosen.messages, descending=True, limit=chosen.limit, **filters).reverse()
    _print(newest, chosen)
    since = datetime.now(UTC) - _OVERLAP
    seen = _ids(log.operations(columns=["operation_id"], **_from(since, filters))) | _ids(newest)
    while True:
        sys.stdout.flush()
        time.sleep(max(_SHORTEST_PAUSE, chosen.interval))
        latest = datetime.now(UTC) - _OVERLAP
        found = log.operations(include_messages=chosen.messages, **_from(since, filters))
        _print(found.filter(~pl.col("operation_id").is_in(list(seen))), chosen)
        seen, since = _ids(found), latest


def _from(moment: datetime, filters: Mapping[str, Any]) -> dict[str, Any]:
    """Return *filters* for what is of *moment* or later."""
    return {**filters, "start_date": moment}


def _ids(frame: pl.DataFrame) -> set[str]:
    return set(frame["operation_id"])


def _print(frame: pl.DataFrame, chosen: argparse.Namespace) -> None:
    if chosen.output == "jsonl":
        emit(frame, chosen)
    else:
        lines_of(frame)


def lines_of(frame: pl.DataFrame) -> None:
    """Print a line for each call of *frame*, and its last message where the frame has them."""
    for call in frame.iter_rows(named=True):
        print_text(_line(call), style="red" if call["status"] == "error" else "")
        for message in (call.get("messages") or [])[-1:]:
            if message["content"] is not None:
                print_text("    " + message["content"].replace("\n", "\n    "), style="dim")


def _line(call: Mapping[str, Any]) -> str:
    figures = [
        call["timestamp"].strftime("%Y-%m-%d %H:%M:%S") if call["timestamp"] else "",
        call["operation_id"],
        "/".join(filter(None, (call["provider"], call["model"]))) or call["operation_type"] or "",
        call["status"] or "",
    ]
    for name, unit in (("input_tokens", "in"), ("output_tokens", "out"), ("latency_ms", "ms")):
        if call[name] is not None:
            figures.append(f"{call[name]} {unit}")
    if call["cost"] is not None:
        figures.append(f"cost {call['cost']:.6g}")
    if call["error_message"]:
        figures.append(call["error_message"].splitlines()[0])
    return "  ".join(figures)
