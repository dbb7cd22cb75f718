"""Every requirement is accounted for, and the tests that are named are there."""

from tests.support.requirements import REQUIREMENTS, all_tests

OTHERWISE = ("journal: ", "does not apply", "elsewhere: ")


def test_every_requirement_is_accounted_for() -> None:
    assert list(REQUIREMENTS) == [f"R{number:02}" for number in range(1, 51)]
    assert all(what and shown_by for what, shown_by in REQUIREMENTS.values())


def test_the_tests_that_are_named_are_there() -> None:
    named = {name for _, shown_by in REQUIREMENTS.values() for name in shown_by if not name.startswith(OTHERWISE)}
    assert sorted(named - all_tests()) == []
