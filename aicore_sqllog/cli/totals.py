"""
Commands that count: ``stats``.
"""

import argparse

import polars as pl

from aicore_sqllog.cli.command import Command
from aicore_sqllog.cli.exits import DONE
from aicore_sqllog.cli.options import add_connection
from aicore_sqllog.cli.output import add_formats, emit
from aicore_sqllog.querying.execute import execute
from aicore_sqllog.querying.overview import overview
from aicore_sqllog.querying.source import Source
from aicore_sqllog.storage.connection import resolve, show_url

__all__ = ["COMMANDS"]


def _add_stats(parser: argparse.ArgumentParser) -> None:
    add_connection(parser)
    add_formats(parser)


def _stats(chosen: argparse.Namespace) -> int:
    place = resolve(chosen.connection, schema=chosen.schema)
    source = Source(place)
    try:
        found = execute(overview(), source.connect)
    finally:
        source.close()
    moments = {name: getattr(found, name) for name in ("first_timestamp", "last_timestamp")}
    figures = {
        "log": show_url(place.url),
        **{table.removeprefix("llm_"): rows for table, rows in found.rows.items()},
        **{name: moment and moment.isoformat(" ", "seconds") for name, moment in moments.items()},
        "input_tokens": found.input_tokens,
        "output_tokens": found.output_tokens,
        "cost": found.cost,
        "unpriced_calls": found.unpriced_calls,
    }
    if place.file is not None:
        figures["file_bytes"] = place.file.stat().st_size
    texts = [
        None if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
        for value in figures.values()
    ]
    frame = pl.DataFrame({"figure": list(figures), "value": texts}, schema={"figure": pl.String, "value": pl.String})
    emit(frame if chosen.output is None and chosen.parquet is None else pl.DataFrame([figures]), chosen)
    return DONE


COMMANDS = (Command("stats", "print what the log holds: rows, time, tokens, cost", _add_stats, _stats),)
