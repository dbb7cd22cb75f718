"""How much is measured."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from benchmarks.databases import has_server

__all__ = ["Options"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    quick: bool = False
    full: bool = False
    only: str = ""
    seconds: float = 600.0

    @property
    def rounds(self) -> int:
        """How often each subject is run."""
        return 1 if self.quick else 3

    def chosen(self, subjects: Mapping[str, T]) -> dict[str, T]:
        """Return those of *subjects* that are to be run."""
        return {name: subject for name, subject in subjects.items() if self.only in name}

    def drivers(self, *names: str) -> tuple[list[str], list[str]]:
        """Return those of the drivers whose server is here, and those whose server is not."""
        here = [name for name in names if has_server(name)]
        return here, [name for name in names if name not in here]

    def note(self, text: str) -> None:
        """Say what is being measured: on a terminal in one line that changes."""
        if sys.stderr.isatty():
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
        elif text:
            print(text, file=sys.stderr, flush=True)
