"""
Rows of the table: a figure, its ratio to a limit that was measured in the same runs, and the goal.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["BASELINE", "Goal", "Row", "compare", "heading", "line", "markdown", "publish", "save_baseline", "to_json"]

ROOT = Path(__file__).parents[1]
BASELINE = Path(__file__).with_name("baseline.json")

_FALL = 1 / 3
"""A ratio that is worse than the baseline's by more than this part has fallen."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a ratio should be."""

    at_least: float | None = None
    at_most: float | None = None

    def is_met(self, ratio: float) -> bool:
        """Whether *ratio* is as good."""
        return ratio >= self.at_least if self.at_least is not None else ratio <= (self.at_most or 0.0)

    def __str__(self) -> str:
        return f"≥ {self.at_least:g}" if self.at_least is not None else f"≤ {self.at_most:g}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    case: str
    subject: str
    value: float | None = None
    unit: str = ""
    spread: float = 0.0
    ratio: float | None = None
    limit: str = ""
    """What the ratio is to."""
    goal: Goal | None = None
    note: str = ""

    @property
    def key(self) -> str:
        """What the row is called in the baseline."""
        return f"{self.case}: {self.subject}"

    @property
    def verdict(self) -> str:
        """Whether the goal is met."""
        if self.goal is None or self.ratio is None:
            return ""
        return f"{self.goal} {'met' if self.goal.is_met(self.ratio) else 'MISSED'}"


_WIDTHS = (12, 46, 16, 8, 34, 14)


def heading() -> str:
    """Return the heading of the table."""
    return _cells("case", "what", "median", "spread", "ratio", "goal")


def line(row: Row) -> str:
    """Return *row* as a line of text."""
    return _cells(row.case, row.subject, *_figures(row)) + (f"  {row.note}" if row.note else "")


def markdown(rows: Iterable[Row]) -> str:
    """Return *rows* as a table in Markdown."""
    lines = ["| case | what | median | spread | ratio | goal | |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        value, spread, ratio, goal = _figures(row)
        cells = (row.case, row.subject, value, spread, ratio, goal.replace("MISSED", "**missed**"), row.note)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def publish(rows: Sequence[Row], measured_on: str) -> None:
    """Put the rows with goals into the README, and all into ``docs/performance.md``, in the place of what was there."""
    with_goals = [row for row in rows if row.goal is not None and row.ratio is not None]
    for name, chosen in (("README.md", with_goals), ("docs/performance.md", rows)):
        path = ROOT / name
        before, begin, rest = path.read_text("utf-8").partition("<!-- benchmarks -->\n")
        _, end, after = rest.partition("<!-- end of benchmarks -->")
        path.write_text(f"{before}{begin}{measured_on}.\n\n{markdown(chosen)}\n{end}{after}", "utf-8")


def compare(rows: Iterable[Row]) -> list[str]:
    """Return what has fallen since the baseline, a sentence each."""
    baseline = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    fallen = []
    for row in rows:
        before = baseline.get(row.key)
        if before is None or row.ratio is None:
            continue
        is_cost = row.goal is not None and row.goal.at_most is not None
        gain = before / row.ratio if is_cost else row.ratio / before
        if gain < 1 - _FALL:
            fallen.append(f"{row.key}: the ratio is {row.ratio:.2f}, and was {before:.2f}")
    return fallen


def save_baseline(rows: Iterable[Row]) -> None:
    """Make the ratios of *rows* that have a goal the baseline; those of other rows stay."""
    baseline = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    baseline |= {row.key: round(row.ratio, 3) for row in rows if row.ratio is not None and row.goal is not None}
    BASELINE.write_text(json.dumps(baseline, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def to_json(rows: Iterable[Row]) -> list[dict[str, object]]:
    """Return *rows* as JSON has them."""
    return [{**asdict(row), "met": None if not row.verdict else "MISSED" not in row.verdict} for row in rows]


def _figures(row: Row) -> tuple[str, str, str, str]:
    value = "" if row.value is None else f"{row.value:,.{_digits(row.value)}f} {row.unit}"
    ratio = "" if row.ratio is None else f"{row.ratio:.2f} {row.limit}".rstrip()
    return value, f"{row.spread:.0%}" if row.spread else "", ratio, row.verdict


def _digits(value: float) -> int:
    return 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2


def _cells(*cells: str) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True)).rstrip()
