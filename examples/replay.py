"""
Replay a file of real LLM traffic through the handler, then summarise it from the database.

    python examples/replay.py PATH [--connection URL] [--format aider|sessions]

Two formats, plain or gzipped JSON lines, recognised by their first line:

aider      usage events of the aider coding agent: ``message_send`` is a call that succeeded,
           ``message_send_exception`` one that failed; other events are no calls of a model.
sessions   agent sessions: ``traj`` is the list of messages. Each assistant message is one call; it
           is logged as the response, with the messages that came since the call before.

Nothing is made up: what a file does not say, such as a latency, stays unknown.
"""

import argparse
import gzip
import json
import logging
import logging.config
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
from tqdm import tqdm

from aicore_sqllog import LogReader

Record = tuple[int, dict[str, Any]]
"""A log level, and the fields of the record."""


def aider_records(event: dict[str, Any]) -> Iterator[Record]:
    """Yield the call that a usage event tells of, if it is one."""
    properties = dict(event["properties"])
    common = {
        "session_id": event["user_id"],
        "user_id": event["user_id"],
        "timestamp": event["time"],
        "operation_type": "completion",
    }
    if event["event"] == "message_send":
        yield (
            logging.INFO,
            {
                **common,
                "model": properties.pop("main_model"),
                "input_tokens": properties.pop("prompt_tokens"),
                "output_tokens": properties.pop("completion_tokens"),
                "cost": properties.pop("cost"),
                "extras": properties,
            },
        )
    elif event["event"] == "message_send_exception":
        yield logging.ERROR, {**common, "error_message": properties.pop("exception"), "extras": properties}


def session_records(session: dict[str, Any]) -> Iterator[Record]:
    """Yield the calls of a session; messages after the last call come as a record of their own."""
    common = {
        "session_id": f"task-{session['task_id']}-trial-{session['trial']}",
        "session_metadata": {name: session[name] for name in ("task_id", "trial", "reward")},
    }
    since: list[dict[str, Any]] = []
    for message in session["traj"]:
        if message["role"] == "assistant":
            fields = {**common, "operation_type": "completion", "messages": since, "response": message}
            yield logging.INFO, fields
            since = []
        else:
            since.append(message)
    if since:
        yield logging.INFO, {**common, "operation_type": "unanswered", "messages": since}


FORMATS = {"aider": aider_records, "sessions": session_records}


def recognise(first: dict[str, Any]) -> str:
    """Return the name of the format of a file that begins with *first*."""
    if {"event", "properties", "time"} <= first.keys():
        return "aider"
    if {"traj", "task_id"} <= first.keys():
        return "sessions"
    sys.exit(f"replay: the format is not known; the first line has the keys {sorted(first)}. Known: {list(FORMATS)}.")


def open_text(path: Path) -> Any:
    """Open a plain or gzipped file."""
    return gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")


def replay(path: Path, name: str | None, log: logging.Logger) -> int:
    """Log every call of the file; return how many lines could not be read."""
    unreadable = 0
    with open_text(path) as lines, tqdm(desc=path.name, unit=" calls", file=sys.stderr) as progress:
        for number, line in enumerate(lines, start=1):
            try:
                item = json.loads(line)
                name = name or recognise(item)
                records = list(FORMATS[name](item))
            except (ValueError, KeyError, TypeError, AttributeError) as exc:
                unreadable += 1
                tqdm.write(f"replay: line {number} was passed over: {type(exc).__name__}: {exc}", file=sys.stderr)
                continue
            for level, fields in records:
                log.log(level, "replayed", extra={"llm": fields})
                progress.update()
    return unreadable


def known_sum(column: str) -> pl.Expr:
    """Sum what is known; where nothing is, the sum is unknown too."""
    return pl.when(pl.col(column).count() > 0).then(pl.col(column).sum()).alias(column)


def summarise(connection: str) -> None:
    """Print counts, tokens, cost and errors by model, from the database."""
    with LogReader(connection) as reader:
        calls = reader.operations(operation_type="completion")
        by_model = calls.group_by("model").agg(
            pl.len().alias("calls"),
            known_sum("input_tokens"),
            known_sum("output_tokens"),
            known_sum("cost"),
            (pl.col("status") == "error").sum().alias("errors"),
        )
        with pl.Config(tbl_rows=-1, tbl_hide_dataframe_shape=True, fmt_str_lengths=60):
            print(by_model.sort("calls", "model", descending=[True, False]))
        totals = {
            "calls": len(calls),
            "sessions": calls["session_id"].n_unique(),
            "cost": calls.select(known_sum("cost")).item(),
            "largest_input_tokens": calls["input_tokens"].max(),
            "errors": reader.count(operation_type="completion", status="error"),
            "longest_error": calls["error_message"].str.len_chars().max(),
        }
    print(json.dumps(totals))


def main() -> None:
    """Replay, flush, summarise."""
    parser = argparse.ArgumentParser(description="Replay LLM traffic into a database.")
    parser.add_argument("path", type=Path)
    parser.add_argument("--connection", default="sqlite:///replay.db")
    parser.add_argument("--format", choices=sorted(FORMATS))
    arguments = parser.parse_args()
    if not arguments.path.is_file():
        sys.exit(f"replay: there is no file {arguments.path.resolve()}")
    logging.config.dictConfig(
        {
            "version": 1,
            "handlers": {"llm": {"class": "aicore_sqllog.SQLLogHandler", "connection": arguments.connection}},
            "loggers": {"replay": {"level": "INFO", "handlers": ["llm"], "propagate": False}},
        }
    )
    log = logging.getLogger("replay")
    unreadable = replay(arguments.path, arguments.format, log)
    handler: Any = log.handlers[0]
    if not handler.flush(timeout=60):
        sys.exit(f"replay: not everything could be stored: {handler.stats()}")
    summarise(arguments.connection)
    if unreadable:
        print(f"{unreadable} lines were passed over", file=sys.stderr)


if __name__ == "__main__":
    main()
