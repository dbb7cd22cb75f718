"""
Rows cut to what the server takes: a record that is too large for it is stored without the middle of its texts.

MySQL and MariaDB take at most ``max_allowed_packet`` bytes a statement, and so a row, 16 MiB where nobody has
changed it; a larger one ends the connection, which looks like an outage.
"""

import json
import re
from collections.abc import Iterable, Mapping
from itertools import chain

from aicore_sqllog.record.call_record import OPERATION_KEYS, CallRecord
from aicore_sqllog.record.notes import OWN_KEY, add_notes, note_in
from aicore_sqllog.storage.types import EncodedJson
from aicore_sqllog.writing.rows import Row

__all__ = ["fit_rows", "fit_session", "may_exceed"]

_SLACK_BYTES = 64 * 1024
_MOST_BYTES_A_CHARACTER = 4
_ESCAPED = re.compile("[\0\n\r\x1a\"'\\\\]")


def fit_session(record: CallRecord, limit: int) -> CallRecord:
    """Return *record* with metadata of its session that fits into a row of *limit* bytes; it notes what was cut."""
    text = record.session.session_metadata
    if text is None or not _may_exceed([text], limit) or _wire_size(text) <= limit - _SLACK_BYTES:
        return record
    cut = _cut_document(text, limit - _SLACK_BYTES)
    position = OPERATION_KEYS.index("extras")
    extras = _note_cuts(record.extras, {"session_metadata": len(text)})
    operation = (*record.operation[:position], extras, *record.operation[position + 1 :])
    return record._replace(session=record.session._replace(session_metadata=cut), operation=operation)


def fit_rows(operation: Row, messages: list[Row], limit: int) -> None:
    """Cut, in place, what makes a row larger than *limit* bytes; note what was cut in the operation's extras."""
    cuts: dict[str, int] = {}
    for row in messages:
        for key, length in _fit_row(row, limit).items():
            cuts[f"messages.{row['sequence_number']}.{key}"] = length
    cuts |= _fit_row(operation, limit)
    if cuts:
        operation["extras"] = EncodedJson(_note_cuts(operation["extras"].text, cuts))


def may_exceed(records: Iterable[CallRecord], limit: int) -> bool:
    """Whether a row of *records* may be larger than *limit* bytes, told by the lengths of all their texts together."""
    values = chain.from_iterable(chain(record.operation, *record.messages) for record in records)
    return _may_exceed((value for value in values if type(value) is str), limit)


def _fit_row(row: Row, limit: int) -> dict[str, int]:
    """Cut the largest values of *row* until it fits; return the old lengths of what was cut, by column."""
    texts = {key: _text_of(value) for key, value in row.items() if isinstance(value, str | EncodedJson)}
    if not _may_exceed(texts.values(), limit):
        return {}
    sizes = {key: _wire_size(text) for key, text in texts.items()}
    cuts: dict[str, int] = {}
    for key in sorted(sizes, key=lambda key: -sizes[key]):
        too_much = sum(sizes.values()) - (limit - _SLACK_BYTES)
        if too_much <= 0:
            break
        size = max(0, sizes[key] - too_much)
        if isinstance(row[key], EncodedJson):
            row[key] = EncodedJson(_cut_document(texts[key], size))
        else:
            row[key] = _cut_text(texts[key], size, limit)
        cuts[key] = len(texts[key])
        sizes[key] = _wire_size(_text_of(row[key]))
    return cuts


def _note_cuts(extras: str, cuts: Mapping[str, int]) -> str:
    return add_notes(extras, {"truncated": {**(note_in(extras, "truncated") or {}), **cuts}})


def _cut_text(text: str, size: int, limit: int) -> str:
    """Return *text* without its middle, so that it has about *size* bytes in a statement."""
    # Each half is at most half the bytes, whatever its characters are.
    kept = size // (2 * _MOST_BYTES_A_CHARACTER)
    if _wire_size(text[: size // 2]) <= size // 2 and _wire_size(text[-(size // 2) :]) <= size // 2:
        kept = size // 2
    left_out = len(text) - 2 * kept
    marker = f"\n[{left_out:,} characters cut: the server takes {limit:,} bytes at most]\n"
    return text[:kept] + marker + (text[-kept:] if kept else "")


def _cut_document(text: str, size: int) -> str:
    """Return the JSON *text* with the largest values of its object replaced by their lengths, ours one by one."""
    document = json.loads(text)
    if not isinstance(document, dict):
        return _dump(_stub(text))
    own = document.get(OWN_KEY)
    places = [(document, key) for key in document if key != OWN_KEY]
    if isinstance(own, dict):
        places += [(own, key) for key in own]
    sizes = [_wire_size(_dump(holder[key])) for holder, key in places]
    total = _wire_size(text)
    for length, (holder, key) in sorted(zip(sizes, places, strict=True), key=lambda pair: -pair[0]):
        if total <= size:
            break
        holder[key] = _stub(_dump(holder[key]))
        total += _wire_size(_dump(holder[key])) - length
    return _dump(document) if total <= size else _dump(_stub(text))


def _stub(text: str) -> dict[str, int]:
    return {"truncated": len(text)}


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _may_exceed(texts: Iterable[str], limit: int) -> bool:
    """Whether *texts* may be too large together, told by their lengths alone."""
    return sum(map(len, texts)) * _MOST_BYTES_A_CHARACTER >= limit - _SLACK_BYTES


def _text_of(value: str | EncodedJson) -> str:
    return value if isinstance(value, str) else value.text


def _wire_size(text: str) -> int:
    """Return how many bytes *text* has in a statement, where some characters are escaped."""
    return len(text.encode()) + len(_ESCAPED.findall(text))
