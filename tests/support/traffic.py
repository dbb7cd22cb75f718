"""Reads the shared traffic, for tests: its strings, and its lines."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def documents(path: Path) -> Iterator[Any]:
    """Yield what a plain or gzipped file of JSON, or of JSON lines, holds."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    if ".jsonl" in path.name:
        yield from map(json.loads, text.splitlines())
    else:
        yield json.loads(text)


def strings(folder: Path) -> list[str]:
    """Return every string in the files of *folder*, keys of objects too, each once, in order."""
    found: dict[str, None] = {}
    for path in sorted(folder.glob("*.json*")):
        for document in documents(path):
            found.update(dict.fromkeys(_strings_in(document)))
    return list(found)


def _strings_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _strings_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings_in(item)
