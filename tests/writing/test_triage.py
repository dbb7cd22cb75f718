"""Whose fault an error is: nothing that is the connection's or a person's costs a record."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DataError, IntegrityError, StatementError

from aicore_sqllog.storage.connection import resolve
from aicore_sqllog.storage.faults import Kind
from aicore_sqllog.writing.destination import Destination, NoRecordInvolvedError
from aicore_sqllog.writing.triage import Blame, NotWritten, Triage
from aicore_sqllog.writing.writer import Writer
from tests.support.records import records


def other_character_set(encoding: str) -> UnicodeEncodeError:
    return UnicodeEncodeError(encoding, "a 😀", 2, 3, "character not in range")


def on_connecting(cause: Exception) -> NoRecordInvolvedError:
    error = NoRecordInvolvedError()
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "attempt", "blame"),
    [
        pytest.param(IntegrityError("", {}, Exception("a check")), 1, Blame.A_RECORD, id="a constraint"),
        pytest.param(DataError("", {}, Exception("a value")), 1, Blame.A_RECORD, id="a value"),
        pytest.param(StatementError("", "", {}, TypeError("no text")), 1, Blame.A_RECORD, id="a value to bind"),
        pytest.param(other_character_set("utf-8"), 1, Blame.A_RECORD, id="no text at all"),
        pytest.param(other_character_set("latin-1"), 9, Blame.NO_RECORD, id="latin-1"),
        pytest.param(other_character_set("ascii"), 1, Blame.NO_RECORD, id="ascii"),
        pytest.param(StatementError("", "", {}, other_character_set("cp1252")), 1, Blame.NO_RECORD, id="cp1252, bound"),
        pytest.param(LookupError("new"), 2, Blame.NO_RECORD, id="not expected"),
        pytest.param(LookupError("new"), 3, Blame.A_RECORD, id="not expected, again and again"),
        pytest.param(on_connecting(IntegrityError("", {}, Exception())), 9, Blame.NO_RECORD, id="a constraint before"),
        pytest.param(on_connecting(ValueError("no token")), 9, Blame.NO_RECORD, id="a value on connecting"),
        pytest.param(ConnectionResetError(), 9, Blame.NO_RECORD, id="a network"),
    ],
)
def test_whose_fault_it_is(error: Exception, attempt: int, blame: Blame, path: Path) -> None:
    triage = Triage(Destination(resolve(f"sqlite:///{path}"), None, "auto", lambda text: None))
    verdict = triage.judge(error, records(1), attempt)
    assert verdict.blame is blame
    assert (verdict.fault.kind in (Kind.POISON, Kind.OVERSIZE)) <= (blame is not Blame.NO_RECORD)
    if isinstance(error, UnicodeEncodeError) and blame is Blame.NO_RECORD:
        assert "utf8" in verdict.fault.remedy


def test_what_is_raised_tells_the_error_and_what_it_means(url: str, path: Path) -> None:
    writer = Writer(resolve(url), migrate="off")
    with pytest.raises(NotWritten, match=r"no such table.*aicore-sqllog upgrade") as caught:
        writer.write(records(1), 1)
    writer.close()
    assert caught.value.fault.kind is Kind.MISCONFIGURED
    assert isinstance(caught.value.cause, sa.exc.OperationalError)
    assert caught.value.__cause__ is caught.value.cause
