"""The documents keep their word: what they show runs and prints what they say, their tables name what there is."""

import inspect
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import fields as fields_of
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from aicore_sqllog import HandlerStats, SQLLogHandler, redactors
from aicore_sqllog.capture.fields import FIELD_DESCRIPTIONS
from aicore_sqllog.cli import journal
from aicore_sqllog.cli.program import COMMANDS
from aicore_sqllog.querying.filters import Filters
from aicore_sqllog.querying.measures import MEASURES
from aicore_sqllog.record.columns import COLUMNS, OPERATIONS
from aicore_sqllog.storage.revisions import VERSION_TABLE
from tests.conftest import ROOT
from tests.support.documents import DOCUMENTS, anchors, blocks, code_words, links, part, rows, script
from tests.support.guarantees import GUARANTEES
from tests.support.processes import run_python
from tests.support.recordings import Recording, served
from tests.support.requirements import all_tests

ANSWER = """{"id": "chatcmpl-CgTnKyUsl4rJ0yzzUuLdVfIJ5vDZ5", "object": "chat.completion", "created": 1764000000,
"model": "gpt-4o-mini-2024-07-18", "service_tier": "default", "system_fingerprint": "fp_560af6e559",
"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Paris."}}],
"usage": {"prompt_tokens": 14, "completion_tokens": 3, "total_tokens": 17}}"""


@pytest.fixture(scope="module")
def openai_url() -> Iterator[str]:
    """A server that answers as OpenAI's does."""
    answer = Recording("answer", "openai", "openai.chat", False, 200, "application/json", ANSWER.encode())
    with served(defaultdict(lambda: answer)) as url:
        yield url


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_block_runs_in_order_and_prints_what_is_shown(document: Path, openai_url: str, tmp_path: Path) -> None:
    code, printed = script(document, tmp_path)
    (tmp_path / "blocks.py").write_text(code, encoding="utf-8")
    done = run_python("blocks.py", cwd=tmp_path, OPENAI_BASE_URL=openai_url, OPENAI_API_KEY="none", NO_PROXY="*")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.replace(str(tmp_path), "/home/ann") == printed


def test_no_block_is_of_a_kind_that_nothing_runs() -> None:
    told = {"python", "console", "text", "mermaid"}
    for document in DOCUMENTS:
        others = [b for b in blocks(document) if b.language not in told and b.file_name is None]
        assert others == [], document.name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for file, anchor in links(document):
        assert file.exists(), file
        assert not anchor or anchor in anchors(file), f"{file.name}#{anchor}"


def test_the_readme_is_short_and_goes_from_install_to_a_printed_frame_in_thirty_lines() -> None:
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    assert len(lines) <= 150
    for sign in ("pip install", "polars_from_db", "└───"):
        assert any(sign in line for line in lines[:30]), sign


def test_the_options_are_the_handlers() -> None:
    parameters = inspect.signature(SQLLogHandler).parameters
    told = [
        (name, default) for names, default, _ in rows("docs/operations.md", "Options") for name in code_words(names)
    ]
    assert told == [(name, f"`{parameter.default!r}`") for name, parameter in parameters.items()]


def test_the_figures_are_those_of_stats() -> None:
    told = [name for names, _ in rows("docs/operations.md", "Statistics") for name in code_words(names)]
    assert told == [field.name for field in fields_of(HandlerStats)]


def test_the_fields_are_those_of_a_record() -> None:
    columns = {column.key for column in OPERATIONS}
    told = {name: text for names, text in rows("docs/fields.md", "Fields") for name in code_words(names)}
    assert told == {name: text for name, text in FIELD_DESCRIPTIONS.items() if name not in columns}
    assert columns <= FIELD_DESCRIPTIONS.keys()


@pytest.mark.parametrize("table", ["llm_sessions", "llm_operations", "llm_messages", "llm_log_losses"])
def test_the_columns_are_those_of_the_tables(table: str) -> None:
    expected = [[f"`{c.name}`", c.kind.value, c.description] for c in COLUMNS if c.table == table]
    assert rows("docs/fields.md", table) == expected


def test_the_filters_are_those_of_the_reader() -> None:
    told = [name for names, _ in rows("docs/reading.md", "Filters") for name in code_words(names)]
    assert sorted(told) == sorted(get_type_hints(Filters))


def test_the_measures_are_those_of_a_summary() -> None:
    expected = [[f"`{name}`", measure.description] for name, measure in MEASURES.items()]
    assert rows("docs/reading.md", "Measures") == expected


def test_the_redactors_are_those_there_are() -> None:
    told = [name.partition("(")[0] for names, _ in rows("docs/privacy.md", "Redactors") for name in code_words(names)]
    assert sorted(told) == sorted(redactors.__all__)


@pytest.mark.parametrize(
    ("heading", "prefix", "commands"),
    [
        ("Commands", "", [*COMMANDS, ("journal", journal.HELP)]),
        ("Dead letters and journal", "journal ", journal.COMMANDS),
    ],
)
def test_the_commands_are_those_of_the_command_line(heading: str, prefix: str, commands: Sequence[Any]) -> None:
    assert rows("docs/command-line.md", heading) == [[f"`{prefix}{c[0]}`", c[1]] for c in commands]


def test_every_extra_that_is_named_is_there() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    named = {name for d in DOCUMENTS for name in re.findall(r"aicore-sqllog\[(\w+)\]", d.read_text("utf-8"))}
    assert named <= extras.keys()
    assert {"postgres", "asyncpg", "mysql"} <= named


def test_every_function_and_file_that_is_named_is_there() -> None:
    folders = {path.stem for path in (ROOT / "aicore_sqllog").iterdir()} | {"tests", "docs", "examples", "benchmarks"}
    for document in DOCUMENTS:
        for word in code_words(document.read_text("utf-8")):
            if re.fullmatch(r"[\w./]+/[\w./]*|\w+\.py", word) and re.split(r"[/.]", word)[0] in folders:
                there = [root / word for root in (ROOT, ROOT / "aicore_sqllog")]
                assert any(path.exists() for path in there), f"{document.name}: {word}"
            elif re.fullmatch(r"[a-z_]+(\.\w+)+", word) and word.partition(".")[0] in folders:
                resolve(f"aicore_sqllog.{word}")


def resolve(dotted: str) -> object:
    """Return what *dotted* names: a module, or something in one."""
    names = dotted.split(".")
    for length in range(len(names), 0, -1):
        try:
            found: object = import_module(".".join(names[:length]))
        except ModuleNotFoundError:
            continue
        for name in names[length:]:
            found = getattr(found, name)
        return found
    raise AssertionError(dotted)


def test_every_guarantee_names_the_tests_that_hold_it() -> None:
    told = [when for when, _ in rows("docs/guarantees.md", "What happens when")]
    assert told == list(GUARANTEES)
    assert sorted({test for tests in GUARANTEES.values() for test in tests} - all_tests()) == []
    assert all(GUARANTEES.values())


def test_the_version_table_is_called_as_it_is() -> None:
    assert f"`{VERSION_TABLE}`" in part("docs/databases.md", "Migrations")
