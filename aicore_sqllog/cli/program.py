"""
The program: from arguments to the command that they name, and its exit code.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import NoReturn

from aicore_sqllog.cli import journal, moving, reading, schema, totals, upkeep
from aicore_sqllog.cli.command import Command
from aicore_sqllog.cli.exits import CANNOT, ended_by

__all__ = ["COMMANDS", "main", "make_parser"]

COMMANDS: tuple[Command, ...] = (
    *reading.COMMANDS,
    *totals.COMMANDS,
    *moving.COMMANDS,
    *upkeep.COMMANDS,
    *schema.COMMANDS,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command that *arguments* name, and return the exit code.

    0: done; 1: a check failed, or what was named is not there; 2: it cannot be done; 130: stopped by Ctrl-C; 141: who
    read the output has gone.
    """
    given = sys.argv[1:] if arguments is None else arguments
    chosen = make_parser().parse_args([_with_dashes(argument) for argument in given])
    return ended_by(lambda: int(chosen.run(chosen)))


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = _Parser(
        prog="aicore-sqllog",
        description="Look at a log of LLM calls, take it elsewhere, and keep its tables in order.",
    )
    parser.add_argument("--version", action="version", version=version("aicore-sqllog"))
    commands = parser.add_subparsers(required=True, metavar="command")
    for command in COMMANDS:
        _add(commands, command)
    of_journal = commands.add_parser("journal", help=journal.HELP, description=journal.HELP)
    nested = of_journal.add_subparsers(required=True, metavar="command")
    for command in journal.COMMANDS:
        _add(nested, command)
    return parser


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line; the usage, with every filter, would be thirty."""

    def error(self, message: str) -> NoReturn:
        self.exit(CANNOT, f"{self.prog}: {message}. See {self.prog} --help.\n")


def _add(commands: "argparse._SubParsersAction[_Parser]", command: Command) -> None:
    parser = commands.add_parser(command.name, help=command.help, description=command.help)
    command.add_options(parser)
    parser.set_defaults(run=command.run)


def _with_dashes(argument: str) -> str:
    """Return *argument* with the name of an option spelled with dashes: the reader spells it with underscores."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value
