"""
The manifest of an export: what was chosen, how far it came, and of each file the rows, the sums and the SHA-256.

It is JSON, in ``manifest.json``, and is replaced as a whole after each part. A file that it does not name is no
part of the export.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import orjson
import polars as pl

from aicore_sqllog.errors import TransferError
from aicore_sqllog.transfer.files import fingerprint, write_safely

__all__ = ["MANIFEST", "FileEntry", "Manifest", "describe_file"]

MANIFEST = "manifest.json"
VERSION = 1

_SUMMED = ("input_tokens", "output_tokens", "cost")


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file, as it was when it was written."""

    name: str
    table: str
    rows: int
    bytes: int
    sha256: str
    sums: Mapping[str, float | None] = field(default_factory=dict)
    """Of an operations' file the sums of tokens and cost, so that what was imported can be compared."""


@dataclass(slots=True, kw_only=True)
class Manifest:
    """What an export is, and what it has so far."""

    version: int = VERSION
    package: str
    source: str
    """The database, without password and query."""
    file_format: str
    with_content: bool
    filters: dict[str, Any]
    started_at: str
    finished_at: str | None = None
    """None while parts are missing: the same command goes on with it."""
    last_keys: dict[str, list[str]] = field(default_factory=dict)
    """By table, the key of the last row that was written."""
    done: list[str] = field(default_factory=list)
    """The tables that are complete."""
    files: list[FileEntry] = field(default_factory=list)

    @property
    def rows(self) -> dict[str, int]:
        """How many rows there are, by table."""
        found: dict[str, int] = {}
        for entry in self.files:
            found[entry.table] = found.get(entry.table, 0) + entry.rows
        return found

    @classmethod
    def read(cls, folder: Path) -> Self:
        """
        Return the manifest of the export in *folder*.

        Raises:
            TransferError: If there is none, or it is of another version or damaged.
        """
        path = folder / MANIFEST
        try:
            document = orjson.loads(path.read_bytes())
            version = document["version"]
            if version != VERSION:
                raise TransferError(f"{path} is of version {version!r}, and this package reads {VERSION}: upgrade it.")
            files = [FileEntry(**entry) for entry in document.pop("files")]
            document.pop("rows", None)
            return cls(**document, files=files)
        except FileNotFoundError:
            raise TransferError(
                f"There is no export in {folder}: it has no {MANIFEST}. Give the folder that `export` wrote."
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise TransferError(f"{path} is damaged: it is no manifest. Export again.") from None

    def write(self, folder: Path) -> None:
        """Put the manifest into *folder*."""
        document = {**asdict(self), "rows": self.rows}
        with write_safely(folder / MANIFEST) as file:
            file.write(orjson.dumps(document, option=orjson.OPT_INDENT_2))


def describe_file(path: Path, table: str, frame: pl.DataFrame) -> FileEntry:
    """Return the entry of the file at *path*, into which *frame* was written."""
    size, digest = fingerprint(path)
    return FileEntry(path.name, table, frame.height, size, digest, sums_of(frame))


def sums_of(frame: pl.DataFrame) -> dict[str, float | None]:
    """Return the exact sums of the columns that are summed; None where none of the rows has a value."""
    found = {name: frame[name].drop_nulls() for name in _SUMMED if name in frame.columns}
    return {name: math.fsum(values) if values.len() else None for name, values in found.items()}
