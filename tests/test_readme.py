"""The README keeps its word: its blocks run and print what it shows, its tables name what there is."""

import inspect
import re
from pathlib import Path
from typing import get_type_hints

from aicore_sqllog import LlmMessage, LlmOperation, LlmSession, SQLLogHandler
from aicore_sqllog.capture.fields import FIELDS
from aicore_sqllog.querying.filters import Filters
from tests.conftest import ROOT
from tests.support.processes import run_python

README = (ROOT / "README.md").read_text(encoding="utf-8")
PARTS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL))


def first_cells(part: str) -> list[str]:
    """Return the names in the first column of a part's table."""
    rows = re.findall(r"^\| (`.*?) \|", PARTS[part], re.MULTILINE)
    return [name for cell in rows for name in re.findall(r"`(\w+)`", cell)]


def test_every_block_runs_in_order_and_prints_what_is_shown(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```\n(?:```text\n(.*?)```)?", README, re.DOTALL)
    assert len(blocks) >= 2
    (tmp_path / "blocks.py").write_text("\n".join(code for code, _ in blocks), encoding="utf-8")
    done = run_python("blocks.py", cwd=tmp_path)
    assert done.stderr == ""
    assert done.stdout == "".join(shown for _, shown in blocks)


def test_the_first_thirty_lines_go_from_install_to_a_printed_frame() -> None:
    start = "\n".join(README.splitlines()[:30])
    assert "pip install" in start
    assert "polars_from_db" in start
    assert "└───" in start


def test_the_options_are_the_handlers() -> None:
    parameters = inspect.signature(SQLLogHandler).parameters
    assert first_cells("Options") == list(parameters)
    for names, default in re.findall(r"^\| (`.*?) \| `(.*?)` \|", PARTS["Options"], re.MULTILINE):
        for name in re.findall(r"`(\w+)`", names):
            assert repr(parameters[name].default) == default


def test_the_fields_are_those_of_a_record() -> None:
    assert set(first_cells("What a record may carry")) == FIELDS


def test_the_filters_are_those_of_the_reader() -> None:
    assert first_cells("Reading") == list(get_type_hints(Filters))


def test_the_columns_are_those_of_the_tables() -> None:
    (row,) = re.findall(r"^\| (`session_id` .*?) \| (.*?) \| (.*?) \|$", PARTS["The tables"], re.MULTILINE)
    for cell, model in zip(row, (LlmSession, LlmOperation, LlmMessage), strict=True):
        assert re.findall(r"`(\w+)`", cell) == [column.name for column in model.__table__.columns]
