"""
Commands that count, and those about sessions and what was said in them.
"""

import argparse
import json
from typing import Any

import polars as pl

from aicore_sqllog.cli.command import Command
from aicore_sqllog.cli.exits import DONE, NOT_SO, UsageError, say
from aicore_sqllog.cli.options import add_connection, add_filters, add_limit, chosen_filters, filter_names
from aicore_sqllog.cli.output import add_formats, emit, is_plain_table
from aicore_sqllog.cli.reading import opened, print_messages
from aicore_sqllog.querying.buckets import EVERY
from aicore_sqllog.querying.execute import execute
from aicore_sqllog.querying.overview import overview
from aicore_sqllog.querying.source import Source
from aicore_sqllog.storage.connection import resolve, show_url

__all__ = ["COMMANDS"]

_MEASURES = (
    "calls", "error_rate", "input_tokens", "output_tokens", "cost", "unpriced_calls", "latency_ms_p50",
    "latency_ms_p95",
)  # fmt: skip
"""Of a table, which is to fit a terminal."""


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
    emit(frame if is_plain_table(chosen) else pl.DataFrame([figures]), chosen)
    return DONE


def _add_summary(parser: argparse.ArgumentParser) -> None:
    add_connection(parser)
    parser.add_argument(
        "--by",
        action="append",
        default=[],
        metavar="COLUMN",
        help='what to group by: model, or a path such as \'["extras", "project"]\'; may be repeated',
    )
    parser.add_argument("--every", choices=EVERY, help="a row for each of these, by time")
    parser.add_argument("--tz", default="UTC", metavar="ZONE", help="the zone of --every, such as Europe/Berlin")
    parser.add_argument("--measures", help="which, with commas between; all for the formats for programs")
    add_formats(parser)
    add_filters(parser)


def _summary(chosen: argparse.Namespace) -> int:
    by = [_group(text) for text in chosen.by]
    measures = _measures(chosen)
    with opened(chosen) as log:
        if chosen.every is None:
            frame = log.summary(by, measures=measures, **chosen_filters(chosen))
        else:
            frame = log.timeseries(chosen.every, by, tz=chosen.tz, measures=measures, **chosen_filters(chosen))
    emit(frame, chosen)
    return DONE


def _measures(chosen: argparse.Namespace) -> list[str] | None:
    if chosen.measures:
        return [name.strip().replace("-", "_") for name in chosen.measures.split(",")]
    return list(_MEASURES) if is_plain_table(chosen) else None


def _group(text: str) -> Any:
    """Return the column that *text* names, or the path that it is as JSON."""
    if text.startswith("["):
        try:
            return tuple(json.loads(text))
        except ValueError:
            raise UsageError(f"--by {text!r} cannot be right: it is no JSON.") from None
    return text.replace("-", "_")


def _add_conversation(parser: argparse.ArgumentParser) -> None:
    add_connection(parser)
    parser.add_argument("session", help="the session's id, as it is stored or as you gave it")
    add_formats(parser)


def _conversation(chosen: argparse.Namespace) -> int:
    with opened(chosen) as log:
        frame = log.conversation(chosen.session)
        if frame.is_empty() and log.count(session_id=chosen.session) == 0:
            say(f"there is no session {chosen.session!r}.")
            return NOT_SO
    if is_plain_table(chosen):
        print_messages(frame.to_dicts())
    else:
        emit(frame, chosen)
    return DONE


def _add_sessions(parser: argparse.ArgumentParser) -> None:
    add_connection(parser)
    add_limit(parser, 20)
    parser.add_argument(
        "--order-by", default="last_timestamp", metavar="COLUMN", help="last_timestamp, where it is left out"
    )
    parser.add_argument("--ascending", action="store_true", help="the other way round: the oldest first")
    add_formats(parser)
    add_filters(parser)


def _sessions(chosen: argparse.Namespace) -> int:
    with opened(chosen) as log:
        frame = log.sessions(
            order_by=chosen.order_by,
            descending=not chosen.ascending,
            limit=chosen.limit,
            **chosen_filters(chosen),
        )
    if is_plain_table(chosen):
        names = pl.coalesce("session_key", "session_id").alias("session")
        frame = frame.select(names, "calls", "error_calls", "total_tokens", "cost", "last_timestamp")
    emit(frame, chosen)
    return DONE


def _add_losses(parser: argparse.ArgumentParser) -> None:
    add_connection(parser)
    add_formats(parser)
    add_filters(parser, leave_out=frozenset(filter_names()) - {"start_date", "end_date"})


def _losses(chosen: argparse.Namespace) -> int:
    with opened(chosen) as log:
        emit(log.losses(**chosen_filters(chosen)), chosen)
    return DONE


COMMANDS = (
    Command("stats", "print what the log holds: rows, time, tokens, cost", _add_stats, _stats),
    Command("summary", "print calls, errors, tokens, cost and latency, by groups and by time", _add_summary, _summary),
    Command(
        "sessions", "print the sessions whose last calls are the newest, and what they cost", _add_sessions, _sessions
    ),
    Command("conversation", "print what was said in a session, each message once", _add_conversation, _conversation),
    Command("losses", "print what was dropped, and when: whether the log is complete", _add_losses, _losses),
)
