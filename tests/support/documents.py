"""Markdown as the tests read it: blocks that run, and tables that are compared with the code."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.conftest import ROOT

DOCUMENTS = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))

_FILE_NAME = re.compile(r"# ([\w./-]+\.\w+)\n")
_COMMANDS = """
import os, subprocess, sys
os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
for command in {commands!r}:
    sys.stdout.flush()
    subprocess.run(command, shell=True, check=False, stderr=subprocess.STDOUT)
"""


class Block(NamedTuple):
    """A fenced block."""

    language: str
    text: str

    @property
    def file_name(self) -> str | None:
        """Return the file that the block shows, if its first line is a comment with that name."""
        found = _FILE_NAME.match(self.text)
        return found and found.group(1)


def blocks(document: Path) -> list[Block]:
    """Return the blocks of *document*, in order."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", document.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [Block(*block) for block in found]


def script(document: Path, folder: Path) -> tuple[str, str]:
    """
    Return a script that runs what *document* shows, and what it is to print.

    Blocks of Python run in order, in one process. A block whose first line is a comment with the name of
    a file is written to that file in *folder*. Lines of a console after ``$`` run in a shell; the
    lines below are what they print, as a block of text is what the block above it prints.
    """
    code, printed = [], []
    for block in blocks(document):
        if block.file_name is not None:
            (folder / block.file_name).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            code.append(block.text)
        elif block.language == "console":
            code.append(_COMMANDS.format(commands=re.findall(r"^\$ (.*)$", block.text, re.MULTILINE)))
            printed.append(re.sub(r"^\$ .*\n", "", block.text, flags=re.MULTILINE))
        elif block.language == "text":
            printed.append(block.text)
    return "\n".join(code), "".join(printed)


def part(document: str, heading: str) -> str:
    """Return what stands under *heading* in the document of that name, less its subheadings."""
    text = (ROOT / document).read_text("utf-8")
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"{document} has no part {heading!r}"
    return found.group(1)


def rows(document: str, heading: str) -> list[list[str]]:
    """Return the cells of the first table under *heading*, without its head."""
    table = re.search(r"(?:^\|.*\n)+", part(document, heading), re.MULTILINE)
    assert table is not None, f"{document} has no table under {heading!r}"
    return [_cells(line) for line in table.group().splitlines()[2:]]


def _cells(line: str) -> list[str]:
    return [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def code_words(text: str) -> list[str]:
    """Return what stands in backticks in *text*."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))


def links(document: Path) -> Iterator[tuple[Path, str]]:
    """Yield the file and the anchor of every link in *document* that stays within the repository."""
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text("utf-8")):
        if "://" not in target:
            file, _, anchor = target.partition("#")
            yield (document.parent / file if file else document), anchor


def anchors(document: Path) -> set[str]:
    """Return the anchors of the headings of *document*, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
