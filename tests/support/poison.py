"""A database that refuses some records for ever, and where these are kept."""

import json
import logging
from pathlib import Path
from typing import Any

from aicore_sqllog import SQLLogHandler
from tests.conftest import MakeHandler
from tests.support.servers import execute

RECORDS = 1000
_ON_SQLITE = """CREATE TRIGGER refuse BEFORE INSERT ON llm_operations WHEN new.provider = 'bad'
    BEGIN SELECT RAISE(ABORT, 'the provider is refused'); END"""
_ON_SERVERS = "ALTER TABLE llm_operations ADD CONSTRAINT refuse CHECK (provider <> 'bad')"


def call(log: logging.Logger, number: int, *, bad: bool) -> None:
    extra = {"provider": "bad" if bad else "good", "model": "m", "input_tokens": number, "response": "text"}
    log.info("call", extra=extra)


def make_refusing(make_handler: MakeHandler, log: logging.Logger, url: str, **options: Any) -> SQLLogHandler:
    """Return a handler whose tables are there and refuse every record of the provider ``bad``."""
    handler = make_handler(batch_size=RECORDS, **options)
    call(log, RECORDS, bad=False)
    assert handler.flush()
    execute(url, _ON_SQLITE if url.startswith("sqlite") else _ON_SERVERS)
    return handler


def letters(tmp_path: Path) -> list[dict[str, Any]]:
    files = (tmp_path / "state" / "aicore_sqllog" / "dead_letters").glob("*")
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
