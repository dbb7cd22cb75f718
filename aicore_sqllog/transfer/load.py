"""
An export checked, and imported into a database of any kind.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from aicore_sqllog.errors import TransferError
from aicore_sqllog.storage.connection import Place
from aicore_sqllog.transfer.export import Progress
from aicore_sqllog.transfer.files import fingerprint, read_frame
from aicore_sqllog.transfer.insert import Inserter
from aicore_sqllog.transfer.manifest import FileEntry, Manifest, sums_of
from aicore_sqllog.transfer.tables import TABLES
from aicore_sqllog.writing.destination import Destination

__all__ = ["Imported", "faults_of", "import_export"]


@dataclass
class Imported:
    """What became of the rows of an import, by table."""

    imported: dict[str, int] = field(default_factory=dict)
    there_already: dict[str, int] = field(default_factory=dict)

    def add(self, table: str, rows: int, imported: int) -> None:
        """Count *rows* of a table, of which *imported* were not there."""
        self.imported[table] = self.imported.get(table, 0) + imported
        self.there_already[table] = self.there_already.get(table, 0) + rows - imported


def import_export(
    place: Place,
    folder: Path,
    *,
    progress: Progress = lambda table, rows: None,
    say: Callable[[str], None] = lambda text: None,
) -> Imported:
    """
    Import the export in *folder* into the database at *place*; each file is checked before a row of it is stored.

    Rows whose key is stored already are left as they are, so that an import that was stopped can be begun again, and
    the same import twice changes nothing. Database and tables are made where they are missing.

    Raises:
        TransferError: If the export is not finished or damaged, or the database refuses a row.
        DatabaseError, SchemaError, ConfigurationError: If the database cannot be written to.
    """
    manifest = Manifest.read(folder)
    if manifest.file_format == "spans":
        raise TransferError(f"{folder} holds spans, which are for other programs. Import parquet, jsonl or csv.")
    if manifest.finished_at is None:
        raise TransferError(f"The export in {folder} is not finished: give the same `export` again, which goes on.")
    destination = Destination(place, None, "auto", say)
    inserter, result = Inserter(destination), Imported()
    try:
        for table in TABLES.values():
            for entry in manifest.files:
                if entry.table == table.name:
                    frame = _checked(folder, entry)
                    result.add(table.name, frame.height, inserter.insert(table, frame))
                    progress(table.name, frame.height)
    finally:
        destination.close()
    return result


def faults_of(folder: Path, progress: Progress = lambda table, rows: None) -> Iterator[str]:
    """
    Yield what is wrong with the export in *folder*: files that are missing, or not what the manifest says.

    Raises:
        TransferError: If it has no manifest that can be read.
    """
    manifest = Manifest.read(folder)
    if manifest.finished_at is None:
        yield "the export is not finished: give the same `export` again, which goes on"
    for entry in manifest.files:
        try:
            _checked(folder, entry, is_read=manifest.file_format != "spans")
        except TransferError as exc:
            yield str(exc)
        progress(entry.table, entry.rows)


def _checked(folder: Path, entry: FileEntry, *, is_read: bool = True) -> pl.DataFrame:
    """Return the frame of a file that is what the manifest says."""
    path = folder / Path(entry.name).name
    try:
        found = fingerprint(path)
        if found != (entry.bytes, entry.sha256):
            raise TransferError(f"{entry.name} is not the file that was written: its size or its SHA-256 differs.")
        schema = TABLES[entry.table].schema
        frame = read_frame(path, schema) if is_read else pl.DataFrame(schema=schema)
    except OSError as exc:
        raise TransferError(f"{entry.name} cannot be read: {exc.strerror}.") from None
    except (pl.exceptions.PolarsError, KeyError) as exc:
        raise TransferError(f"{entry.name} cannot be read: {type(exc).__name__}.") from None
    if is_read and (frame.height, sums_of(frame)) != (entry.rows, dict(entry.sums)):
        raise TransferError(f"{entry.name} has other rows or sums than the manifest says.")
    return frame
