"""Every string of the shared traffic comes back as it was logged, and a filter on it finds its row alone."""

import itertools
import json
import logging
from pathlib import Path

import polars as pl
import pytest

from aicore_sqllog import LogReader
from tests.conftest import MakeHandler
from tests.support.servers import ONE_OF_EACH
from tests.support.traffic import strings

LARGE_SOURCES = ("intercode", "acegpt_arabic", "multilingual_mtbench")
REPLACED = {"\0": "\u2400"} | {chr(code): "\ufffd" for code in range(0xD800, 0xE000)}
"""The whole list of code points that do not come back as they were."""

OF_OUR_OWN = [
    "",
    "nul \0 in the middle",
    "lone \ud83d surrogate \udc00",
    "\0" * 300,
    *(chr(code) for code in range(1, 0x20)),
    "\x7f\x80\x9f\ufeff\uffff\U0010ffff",
    "é",
    "e\u0301",
    "gpt-4",
    "GPT-4",
    "gpt-4 ",
    " gpt-4",
    "m" * 255,
    "m" * 256,
    "m" * 255 + "n",
]


def expected(text: str) -> str:
    return "".join(REPLACED.get(character, character) for character in text)


def fields(text: str) -> dict[str, object]:
    return {
        "session_id": text,
        "action_id": text,
        "model": text,
        "messages": [{"role": "user", "content": text}],
        "error_message": text,
        "extras": {f"key:{text}": text},
    }


@ONE_OF_EACH
@pytest.mark.parametrize(
    "source", ["our own", "blns", *(pytest.param(name, marks=pytest.mark.long) for name in LARGE_SOURCES)]
)
def test_every_string_returns(
    source: str, request: pytest.FixtureRequest, make_handler: MakeHandler, log: logging.Logger, url: str
) -> None:
    if source == "our own":
        texts = OF_OUR_OWN
    else:
        folder: Path = request.getfixturevalue("data") / source
        texts = strings(folder)
    assert len(texts) > 20
    filters = itertools.cycle(("session_id", "action_id", "model"))
    handler = make_handler()
    for text in texts:
        log.info("logged", extra={"llm": fields(text)})
    assert handler.flush()

    with LogReader(url) as reader:
        frame = reader.operations(include_messages=True, order_by="operation_id")
        check_values(frame, texts)
        for name, (text, operation_id) in zip(filters, zip(texts, frame["operation_id"], strict=True), strict=False):
            found = reader.operations(columns=["operation_id"], **{name: text})  # type: ignore[arg-type]
            assert found["operation_id"].to_list() == [operation_id], f"{name}={text!r}"


def check_values(frame: pl.DataFrame, texts: list[str]) -> None:
    assert len(frame) == len(texts)
    for row, text in zip(frame.iter_rows(named=True), texts, strict=True):
        clean = expected(text)
        extras = json.loads(row["extras"])
        noted = extras.pop("sqllog")
        assert row["messages"][0]["content"] == clean
        assert row["error_message"] == (clean or None), "an empty text is none given"
        assert extras == {f"key:{clean}": clean}
        if len(text) <= 255:
            assert [row["model"], row["action_id"], row["session_key"]] == [clean] * 3
            assert "invalid" not in noted
        else:
            assert len(row["model"]) == len(row["session_key"]) == 255
            assert noted["invalid"] == {"model": clean, "action_id": clean, "session_id": clean}
