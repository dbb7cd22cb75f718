"""
The files of an export: a frame written in one of three formats, safely, and read back as the very same frame.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, get_args

import polars as pl

__all__ = ["FileFormat", "fingerprint", "read_frame", "write_frame", "write_safely"]

FileFormat = Literal["parquet", "jsonl", "csv"]

_WRITERS: Mapping[str, Callable[[pl.DataFrame, Any], None]] = {
    "parquet": lambda frame, file: frame.write_parquet(file),
    "jsonl": lambda frame, file: frame.write_ndjson(file),
    "csv": lambda frame, file: frame.write_csv(file),
}
_READERS: Mapping[str, Callable[[Path, pl.Schema], pl.DataFrame]] = {
    "parquet": lambda path, schema: pl.read_parquet(path).match_to_schema(schema, missing_columns="insert"),
    "jsonl": lambda path, schema: pl.read_ndjson(path, schema=schema),
    "csv": lambda path, schema: pl.read_csv(path, schema=schema),
}
assert _WRITERS.keys() == _READERS.keys() == set(get_args(FileFormat))

_CHUNK_BYTES = 1024**2


def write_frame(path: Path, frame: pl.DataFrame) -> None:
    """Write *frame* in the format that the name of *path* ends with; see :func:`write_safely`."""
    with write_safely(path) as file:
        _WRITERS[path.suffix[1:]](frame, file)


def read_frame(path: Path, schema: pl.Schema) -> pl.DataFrame:
    """Return the frame that was written to *path*, whose columns are those of *schema*."""
    return _READERS[path.suffix[1:]](path, schema)


@contextmanager
def write_safely(path: Path) -> Iterator[IO[bytes]]:
    """
    Give a file that stands at *path* when it is whole and on the disk, and not before.

    It is readable by its owner only, because it may hold prompts.
    """
    unfinished = path.with_name(path.name + ".unfinished")
    with open(unfinished, "wb", opener=_open_private) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)


def fingerprint(path: Path) -> tuple[int, str]:
    """Return how many bytes the file has, and their SHA-256."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
