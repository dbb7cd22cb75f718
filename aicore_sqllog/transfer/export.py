"""
A log, or what filters choose of it, into files: in parts, in constant memory, and resumed where it was stopped.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple

import orjson
import polars as pl

from aicore_sqllog.errors import TransferError
from aicore_sqllog.journal.file_lock import try_lock
from aicore_sqllog.querying.execute import Question, execute
from aicore_sqllog.querying.filters import LogFilter
from aicore_sqllog.querying.source import Source
from aicore_sqllog.storage.connection import Place, show_url
from aicore_sqllog.transfer.files import write_frame
from aicore_sqllog.transfer.manifest import MANIFEST, FileEntry, Manifest, describe_file
from aicore_sqllog.transfer.pages import Choice, losses_page, messages_of, operations_page, sessions_page
from aicore_sqllog.transfer.spans import write_spans
from aicore_sqllog.transfer.tables import LOSSES, MESSAGES, OPERATIONS, SESSIONS, ExportedTable

__all__ = ["ExportFormat", "Progress", "export_log"]

ExportFormat = Literal["parquet", "jsonl", "csv", "spans"]
Progress = Callable[[str, int], None]
"""Is told a table, and how many more of its rows are done."""

_LOCK = "export.lock"
_FETCHED_ROWS = 5_000
_PART_BYTES = 64 * 1024**2
"""Of a part in memory, about: what ends it where its rows are large."""


def export_log(
    place: Place,
    folder: Path,
    *,
    file_format: ExportFormat = "parquet",
    filters: Mapping[str, Any] | None = None,
    with_content: bool = True,
    part_rows: int = 100_000,
    progress: Progress = lambda table, rows: None,
) -> Manifest:
    """
    Write a log into files in *folder*, and return the manifest, which stands there too.

    What was there at the start is exported exactly once, also while others write. Stopped at any moment, even by
    kill -9 or a power loss, the same call goes on after the last whole part.

    Args:
        place: Where the log is.

        folder: Is made where it is missing, readable by its owner only.

        file_format: ``"spans"`` is OpenTelemetry's GenAI spans, which cannot be imported again.

        filters: The reader's, but ``where``. Sessions are those of the operations chosen; losses belong to an export
            of all, or of a period.

        with_content: False leaves every text and document out: messages, errors' texts, extras, metadata.

        part_rows: Operations in a part at most; about 64 MiB end one too.

        progress: Is told of what is written.

    Raises:
        TransferError: If *folder* holds another export.
        ValueError, TypeError: If a filter is wrong.
        LogNotFoundError, SchemaError, DatabaseError: As a reader raises them.
    """
    choice = Choice({name: value for name, value in (filters or {}).items() if value is not None}, with_content)
    if "where" in choice.filters:
        raise ValueError("where cannot be told in a manifest, and so not be gone on with: use the other filters.")
    LogFilter.of(choice.filters)
    source = Source(place)
    try:
        execute(operations_page(choice, None, 0), source.connect)  # no log: then no folder either
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(folder):
            manifest = _begin(place, folder, file_format, choice)
            if manifest.finished_at is None:
                _Export(source, folder, manifest, choice, part_rows, progress).run()
            return manifest
    finally:
        source.close()


def _begin(place: Place, folder: Path, file_format: str, choice: Choice) -> Manifest:
    """Return the manifest of the export in *folder* to go on with, or a new one."""
    fresh = Manifest(
        package=version("aicore-sqllog"),
        source=show_url(place.url),
        file_format=file_format,
        with_content=choice.with_content,
        filters=orjson.loads(orjson.dumps(dict(choice.filters), default=_as_json)),
        started_at=datetime.now(UTC).isoformat(),
    )
    if not (folder / MANIFEST).exists():
        fresh.write(folder)
        return fresh
    found = Manifest.read(folder)
    for name in ("source", "file_format", "with_content", "filters"):
        if getattr(found, name) != getattr(fresh, name):
            raise TransferError(
                f"{folder} holds another export, with {name} = {getattr(found, name)!r}, "
                f"and not {getattr(fresh, name)!r}. Give another folder."
            )
    return found


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep others from exporting into *folder*: the operating system's lock goes with the process, however it ends."""
    path = folder / _LOCK
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not (try_lock(file) and os.fstat(file).st_nlink):  # one that is gone was another's, which has just ended
            raise TransferError(f"Another process exports into {folder}: wait for it, or give another folder.")
        yield
        with suppress(OSError):  # Windows removes no file that is open
            path.unlink()
    finally:
        os.close(file)


def _as_json(value: object) -> object:
    return sorted(map(str, value)) if isinstance(value, set | frozenset) else str(value)


class _Part(NamedTuple):
    """Operations in the order of their key, with all their messages."""

    operations: pl.DataFrame
    messages: pl.DataFrame


class _Export:
    """One run over what is still missing of an export."""

    def __init__(
        self, source: Source, folder: Path, manifest: Manifest, choice: Choice, part_rows: int, progress: Progress
    ) -> None:
        self._source = source
        self._folder = folder
        self._manifest = manifest
        self._choice = choice
        self._part_rows = part_rows
        self._progress = progress

    def run(self) -> None:
        """Write the parts that are missing: operations with their messages first, because their sessions stay."""
        manifest = self._manifest
        if OPERATIONS.name not in manifest.done:
            for part in self._parts():
                self._write_part(part)
            self._note_done(OPERATIONS, MESSAGES)
        if manifest.file_format != "spans":
            self._write_table(SESSIONS, lambda after: sessions_page(self._choice, after, _FETCHED_ROWS))
            if self._choice.is_of_a_period:
                self._write_table(LOSSES, lambda after: losses_page(self._choice, after, _FETCHED_ROWS))
        manifest.finished_at = datetime.now(UTC).isoformat()
        manifest.write(self._folder)

    def _parts(self) -> Iterator[_Part]:
        operations: list[pl.DataFrame] = []
        messages: list[pl.DataFrame] = []
        rows = size = 0
        for page in self._pages():
            operations.append(page)
            messages.append(self._ask(messages_of(self._choice, page["operation_id"].to_list())))
            rows += page.height
            size += int(page.estimated_size() + messages[-1].estimated_size())
            if rows >= self._part_rows or size >= _PART_BYTES:
                yield _Part(pl.concat(operations), pl.concat(messages))
                operations, messages, rows, size = [], [], 0, 0
        if operations:
            yield _Part(pl.concat(operations), pl.concat(messages))

    def _pages(self) -> Iterator[pl.DataFrame]:
        after = _read_key(self._manifest.last_keys.get(OPERATIONS.name))
        rows = min(_FETCHED_ROWS, self._part_rows)
        while True:
            page = self._ask(operations_page(self._choice, after, rows))
            if page.is_empty():
                return
            first, last = _key_of(page, 0), _key_of(page, -1)
            if after is not None and first <= after:
                raise TransferError(
                    f"The operation {first[1]} has a time that no datetime can hold, so that nothing comes after it. "
                    "Correct it, or export the time before it with end_date."
                )
            yield page
            after = last

    def _write_part(self, part: _Part) -> None:
        number = 1 + sum(entry.table == OPERATIONS.name for entry in self._manifest.files)
        if self._manifest.file_format == "spans":
            name = f"spans-{number:05}.jsonl"
            write_spans(self._folder / name, part.operations, part.messages)
            entries = [describe_file(self._folder / name, OPERATIONS.name, part.operations)]
        else:
            entries = [self._write_file(MESSAGES, part.messages, number)] if part.messages.height else []
            entries.append(self._write_file(OPERATIONS, part.operations, number))
        moment, key = _key_of(part.operations, -1)
        self._note(entries, OPERATIONS, [moment.isoformat(), key])

    def _write_table(self, table: ExportedTable, page_after: Callable[[str | None], Question[pl.DataFrame]]) -> None:
        if table.name in self._manifest.done:
            return None
        while True:
            number = 1 + sum(entry.table == table.name for entry in self._manifest.files)
            key = self._manifest.last_keys.get(table.name, [None])[0]
            page = self._gather(page_after, key)
            if page is None:
                return self._note_done(table)
            self._note([self._write_file(table, page, number)], table, [page[table.key.name][-1]])

    def _gather(self, page_after: Callable[[Any], Question[pl.DataFrame]], key: str | None) -> pl.DataFrame | None:
        """Return the rows of the next part, which is as large as one of operations."""
        pages: list[pl.DataFrame] = []
        while sum(page.height for page in pages) < self._part_rows:
            page = self._ask(page_after(key))
            if page.is_empty():
                break
            pages.append(page)
            key = page[page.columns[0]][-1]
            if sum(page.estimated_size() for page in pages) >= _PART_BYTES:
                break
        return pl.concat(pages) if pages else None

    def _write_file(self, table: ExportedTable, frame: pl.DataFrame, number: int) -> FileEntry:
        path = self._folder / f"{table.name}-{number:05}.{self._manifest.file_format}"
        write_frame(path, frame)
        return describe_file(path, table.name, frame)

    def _note(self, entries: Sequence[FileEntry], table: ExportedTable, key: list[str]) -> None:
        self._manifest.files.extend(entries)
        self._manifest.last_keys[table.name] = key
        self._manifest.write(self._folder)
        for entry in entries:
            self._progress(entry.table, entry.rows)

    def _note_done(self, *tables: ExportedTable) -> None:
        self._manifest.done.extend(table.name for table in tables)
        self._manifest.write(self._folder)

    def _ask(self, question: Question[pl.DataFrame]) -> pl.DataFrame:
        return execute(question, self._source.connect)


def _key_of(page: pl.DataFrame, row: int) -> tuple[datetime, str]:
    moment, key = page["timestamp"][row], page["operation_id"][row]
    if moment is None:
        raise TransferError(f"The operation {key} has no time that can be read. Correct or delete it, and go on.")
    return moment, key


def _read_key(stored: Sequence[str] | None) -> tuple[datetime, str] | None:
    return None if stored is None else (datetime.fromisoformat(stored[0]), stored[1])
