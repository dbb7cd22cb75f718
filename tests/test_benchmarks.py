"""The benchmarks run, and a ratio that falls is found."""

import json
from pathlib import Path

import pytest

from benchmarks import table
from benchmarks.table import Goal, Row, compare, save_baseline
from tests.support.processes import run_python

ROOT = Path(__file__).parents[1]


def test_a_case_runs_and_is_written_as_json(tmp_path: Path) -> None:
    done = run_python("-m", "benchmarks", "start", "--quick", "--json", tmp_path / "table.json", cwd=ROOT)

    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "table.json").read_text())["rows"]
    assert [row["subject"] for row in rows] == ["import", "handler", "first log call", "until it is stored"]
    assert all(row["value"] > 0 for row in rows)
    assert all(row["subject"] in done.stdout for row in rows)


@pytest.mark.parametrize(
    ("goal", "ratio", "falls"),
    [
        pytest.param(Goal(at_least=0.6), 0.41, False, id="a little less"),
        pytest.param(Goal(at_least=0.6), 0.39, True, id="a third less"),
        pytest.param(Goal(at_most=1.5), 0.89, False, id="a little dearer"),
        pytest.param(Goal(at_most=1.5), 0.91, True, id="dearer by half"),
    ],
)
def test_a_ratio_that_falls_by_more_than_a_third_is_named(
    goal: Goal, ratio: float, falls: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "BASELINE", tmp_path / "baseline.json")
    save_baseline([Row("throughput", "sqlite", 1.0, ratio=0.6, goal=goal)])

    found = compare([Row("throughput", "sqlite", 1.0, ratio=ratio, goal=goal), Row("throughput", "new", ratio=9.0)])

    assert found == ([f"throughput: sqlite: the ratio is {ratio:.2f}, and was 0.60"] if falls else [])


def test_the_committed_baseline_is_of_ratios_with_goals() -> None:
    baseline = json.loads(table.BASELINE.read_text())

    assert baseline
    assert all(isinstance(ratio, float) and ": " in key for key, ratio in baseline.items())
