"""
Rows cut to what the server takes: a record that is too large for it is stored without the middle of its texts.

MySQL and MariaDB take at most ``max_allowed_packet`` bytes a statement, and so a row, 16 MiB where nobody has
changed it; a larger one ends the connection, which looks like an outage.
"""

import json
import re
from typing import Any

from aicore_sqllog.storage.types import EncodedJson

__all__ = ["fit_rows"]

_SLACK_BYTES = 64 * 1024
_MOST_BYTES_A_CHARACTER = 4
_ESCAPED = re.compile("[\0\n\r\x1a\"'\\\\]")

Row = dict[str, Any]


def fit_rows(operation: Row, messages: list[Row], limit: int) -> None:
    """Cut, in place, what makes a row larger than *limit* bytes; note what was cut in the operation's extras."""
    cut: dict[str, int] = {}
    for row in messages:
        for column in _fit_row(row, limit):
            cut[f"messages.{row['sequence_number']}.{column}"] = row.pop(f"{column} characters")
    for column in _fit_row(operation, limit):
        cut[column] = operation.pop(f"{column} characters")
    if cut:
        extras = json.loads(operation["extras"].text)
        extras.setdefault("sqllog", {})["truncated"] = cut
        operation["extras"] = EncodedJson(json.dumps(extras, ensure_ascii=False))


def _fit_row(row: Row, limit: int) -> list[str]:
    """Cut the largest values of *row* until it fits; return their columns, with the old lengths beside them."""
    texts = {column: _text_of(value) for column, value in row.items() if isinstance(value, str | EncodedJson)}
    if sum(map(len, texts.values())) * _MOST_BYTES_A_CHARACTER < limit - _SLACK_BYTES:
        return []
    sizes = {column: _wire_size(text) for column, text in texts.items()}
    cut = []
    for column in sorted(sizes, key=lambda column: -sizes[column]):
        too_much = sum(sizes.values()) - (limit - _SLACK_BYTES)
        if too_much <= 0:
            break
        row[f"{column} characters"] = len(texts[column])
        row[column] = _cut(row[column], max(0, sizes[column] - too_much), limit)
        sizes[column] = _wire_size(_text_of(row[column]))
        cut.append(column)
    return cut


def _cut(value: str | EncodedJson, size: int, limit: int) -> str | EncodedJson:
    if isinstance(value, EncodedJson):
        return EncodedJson(json.dumps({"truncated": len(value.text)}))
    # Each half is at most half the bytes, whatever its characters are.
    kept = size // (2 * _MOST_BYTES_A_CHARACTER)
    if _wire_size(value[: size // 2]) <= size // 2 and _wire_size(value[-(size // 2) :]) <= size // 2:
        kept = size // 2
    left_out = len(value) - 2 * kept
    marker = f"\n[{left_out:,} characters cut: the server takes {limit:,} bytes at most]\n"
    return value[:kept] + marker + (value[-kept:] if kept else "")


def _text_of(value: str | EncodedJson) -> str:
    return value if isinstance(value, str) else value.text


def _wire_size(text: str) -> int:
    """Return how many bytes *text* has in a statement, where some characters are escaped."""
    return len(text.encode()) + len(_ESCAPED.findall(text))
