"""
Runs subjects, each in a process of its own, in turns, and keeps what they say.
"""

import json
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Figure", "Subject", "UnavailableError", "in_turns", "measure", "peer"]

ROOT = Path(__file__).parents[1]
_SECONDS = 1_800
"""What one subject may take."""


class UnavailableError(Exception):
    """Why a subject cannot be measured here."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A module of ``benchmarks.subjects`` with its options, and the Python that runs it."""

    module: str
    options: Mapping[str, Any] = field(default_factory=dict)
    python: str = sys.executable


def peer(name: str, **options: Any) -> Subject:
    """Return the subject of a peer, in the environment that ``make bench`` has made for it."""
    python = ROOT / ".venv-bench" / "peers" / name / "bin" / "python"
    return Subject(f"peer_{name}", options, str(python))


@dataclass(frozen=True, slots=True)
class Figure:
    """What one figure was in each run."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The one in the middle."""
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """How far the runs lie apart: the largest less the smallest, as a share of the median."""
        return (max(self.values) - min(self.values)) / self.median if self.median else 0.0


def measure(subject: Subject) -> dict[str, float]:
    """
    Return the figures of one run.

    Raises:
        UnavailableError: If it cannot be run here; the text says why.
    """
    if not Path(subject.python).exists():
        raise UnavailableError("not installed: run `make bench`")
    command = [subject.python, "-m", f"benchmarks.subjects.{subject.module}", json.dumps(dict(subject.options))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=_SECONDS)
    if done.returncode:
        raise UnavailableError((done.stderr.strip().splitlines() or ["it failed"])[-1][:160])
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def in_turns(
    subjects: Mapping[str, Subject], rounds: int, note: Callable[[str], None]
) -> Iterator[tuple[str, dict[str, Figure] | UnavailableError]]:
    """Run *subjects* one after the other, *rounds* times; yield the figures of each, or why it has none."""
    runs: dict[str, list[dict[str, float]]] = defaultdict(list)
    missing: dict[str, UnavailableError] = {}
    for number in range(1, rounds + 1):
        for name, subject in subjects.items():
            if name not in missing:
                note(f"{name}, run {number} of {rounds}")
                try:
                    runs[name].append(measure(subject))
                except (UnavailableError, subprocess.TimeoutExpired) as exc:
                    missing[name] = exc if isinstance(exc, UnavailableError) else UnavailableError("it took too long")
            if number == rounds:
                yield name, missing.get(name) or _figures(runs[name])


def _figures(runs: list[dict[str, float]]) -> dict[str, Figure]:
    return {key: Figure(tuple(run[key] for run in runs)) for key in runs[0]}
