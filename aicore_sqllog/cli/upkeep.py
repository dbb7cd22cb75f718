"""
Commands that change what is stored: ``prune`` and ``recompute``.
"""

import argparse
import sys

from aicore_sqllog.cli.command import Command
from aicore_sqllog.cli.exits import CANNOT, DONE, NOT_SO, say
from aicore_sqllog.cli.options import add_connection
from aicore_sqllog.cli.progress import Progress
from aicore_sqllog.repricing import recompute
from aicore_sqllog.retention import Counts, prune

__all__ = ["COMMANDS", "is_agreed_to"]


def is_agreed_to(question: str) -> bool:
    """Ask the person at the terminal; without one the answer is no."""
    if sys.stdin is None or not sys.stdin.isatty():
        return False
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _add_prune(parser: argparse.ArgumentParser) -> None:
    add_connection(parser)
    parser.add_argument("--before", metavar="TIME", help="calls before this day or time, in UTC")
    parser.add_argument("--content-before", metavar="TIME", help="take the texts out of calls before this day or time")
    for name in ("user-id", "session-id", "workspace"):
        parser.add_argument(f"--{name}", action="append", metavar="TEXT", help="of this alone; may be repeated")
    parser.add_argument("--orphans", action="store_true", help="messages and calls that belong to nothing any more")
    parser.add_argument(
        "--vacuum", action="store_true", help="give the space back: SQLite; others cannot write meanwhile"
    )
    parser.add_argument("--dry-run", action="store_true", help="change nothing; print what would go")
    parser.add_argument("--yes", action="store_true", help="do not ask before anything goes")
    parser.add_argument("--quiet", action="store_true", help="tell no progress")


def _prune(chosen: argparse.Namespace) -> int:
    wanted = {
        name: getattr(chosen, name)
        for name in ("before", "content_before", "user_id", "session_id", "workspace", "schema", "orphans")
    }
    if not (chosen.dry_run or chosen.yes):
        found = prune(chosen.connection, **wanted, vacuum=chosen.vacuum, dry_run=True)
        print(f"would delete {_counted(found.deleted)}; would empty {_counted(found.emptied)}")
        if any(found.deleted + found.emptied) and not is_agreed_to("All of this is lost. Go on?"):
            say("nothing was changed. Give --yes to go on without being asked.")
            return CANNOT
    with Progress("pruned", is_quiet=chosen.quiet) as progress:
        result = prune(
            chosen.connection,
            **wanted,
            vacuum=chosen.vacuum,
            dry_run=chosen.dry_run,
            progress=_Steps(progress),
        )
    if chosen.dry_run:
        print(f"would delete {_counted(result.deleted)}; would empty {_counted(result.emptied)}")
        return DONE
    print(
        f"deleted {_counted(result.deleted)}; emptied {_counted(result.emptied)}; {_counted(result.left)} match still"
    )
    return NOT_SO if any(result.left) else DONE


def _counted(rows: Counts) -> str:
    return ", ".join(f"{count} {table}" for table, count in rows._asdict().items() if count) or "nothing"


class _Steps:
    """Tells a :class:`Progress` how many more are done of what is told as a sum."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._done = 0

    def __call__(self, done: int, total: int) -> None:
        self._progress(f"of {total:,} calls", done - self._done)
        self._done = done


def _add_recompute(parser: argparse.ArgumentParser) -> None:
    add_connection(parser)
    parser.add_argument("--model", action="append", metavar="TEXT", help="calls of this model; may be repeated")
    parser.add_argument("--start-date", metavar="TIME", help="calls from this day or time on, in UTC")
    parser.add_argument("--end-date", metavar="TIME", help="until the end of this day, or before this time")
    parser.add_argument(
        "--prices", default="auto", metavar="FILE", help="your own, as JSON; else those of genai-prices"
    )
    parser.add_argument("--dry-run", action="store_true", help="change nothing; print what would change")


def _recompute(chosen: argparse.Namespace) -> int:
    result = recompute(
        chosen.connection,
        model=chosen.model,
        start_date=chosen.start_date,
        end_date=chosen.end_date,
        prices=chosen.prices,
        dry_run=chosen.dry_run,
        schema=chosen.schema,
    )
    changed = "would change" if chosen.dry_run else "changed"
    print(
        f"{changed} {result.changed} of {result.examined} calls; "
        f"their cost: {result.cost_before:.6g} before, {result.cost_after:.6g} after"
    )
    return DONE


COMMANDS = (
    Command("prune", "delete calls by time, user, session or workspace, or their texts alone", _add_prune, _prune),
    Command("recompute", "price stored calls again whose cost was not reported", _add_recompute, _recompute),
)
