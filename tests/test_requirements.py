"""Every requirement is accounted for, and the tests that are named are there."""

import ast

from tests.conftest import ROOT
from tests.support.requirements import REQUIREMENTS

OTHERWISE = ("journal: ", "does not apply", "elsewhere: ")


def test_every_requirement_is_accounted_for() -> None:
    assert list(REQUIREMENTS) == [f"R{number:02}" for number in range(1, 51)]
    assert all(what and shown_by for what, shown_by in REQUIREMENTS.values())


def test_the_tests_that_are_named_are_there() -> None:
    named = {name for _, shown_by in REQUIREMENTS.values() for name in shown_by if not name.startswith(OTHERWISE)}
    there = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        there |= {f"{path.stem}.{node.name}" for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert sorted(named - there) == []
