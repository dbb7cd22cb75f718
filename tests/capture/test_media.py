"""Media are told by their form wherever they stand; texts, ids, hashes and signatures are none."""

import base64
import hashlib
import json
import logging
import random
from typing import Any

import pytest

from aicore_sqllog.capture.build import Defaults, RecordBuilder
from aicore_sqllog.capture.snapshot import take_snapshot

RANDOM = random.Random(7)
NOISE = RANDOM.randbytes(12_000)
HEADS = {
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff\xe0",
    "image/gif": b"GIF89a",
    "image/webp": b"RIFF\x10\x00\x00\x00WEBP",
    "audio/wav": b"RIFF\x10\x00\x00\x00WAVE",
    "audio/mpeg": b"ID3\x04",
    "application/pdf": b"%PDF-1.7",
    "video/mp4": b"\x00\x00\x00\x18ftypmp42",
    "audio/ogg": b"OggS",
}
PNG = HEADS["image/png"] + NOISE


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def record(**fields: Any) -> Any:
    snapshot = take_snapshot(logging.makeLogRecord({"llm": {"model": "m", **fields}}))
    assert snapshot is not None
    return RecordBuilder(Defaults()).build(snapshot)


def everything(built: Any) -> str:
    return json.dumps([built.extras, built.error_message, repr(built.session), *map(repr, built.messages)])


@pytest.mark.parametrize("media_type", HEADS)
@pytest.mark.parametrize("form", ["bytes", "base64", "urlsafe", "lines", "data URL"])
def test_media_are_described_by_what_they_begin_with(media_type: str, form: str) -> None:
    data = HEADS[media_type] + NOISE
    url = f"data:{media_type};base64,{b64(data)}"
    forms = {
        "bytes": data, "base64": b64(data), "urlsafe": base64.urlsafe_b64encode(data).decode(),
        "lines": base64.encodebytes(data).decode(), "data URL": url,
    }  # fmt: skip
    kept = json.loads(record(extras={"any": [{"thing": forms[form]}]}).extras)["any"][0]["thing"]

    assert kept == {"media_type": media_type, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


PLACES: dict[str, dict[str, Any]] = {
    "Ollama's images": {"messages": [{"role": "user", "content": "?", "images": [b64(NOISE)]}]},
    "a list of data URLs": {"messages": [{"role": "user", "content": ["data:image/png;base64," + b64(PNG)]}]},
    "a generated image": {"extras": {"data": [{"b64_json": b64(NOISE)}]}},
    "an image generation call": {"response": {"type": "image_generation_call", "result": b64(NOISE)}},
    "raw audio with a format": {"messages": [{"input_audio": {"data": b64(NOISE), "format": "pcm16"}}]},
    "a tool's result": {"messages": [{"role": "tool", "content": b64(PNG)}]},
    "a tool's result, unmarked": {"messages": [{"role": "tool", "content": b64(NOISE)}]},
    "a tool's arguments": {"messages": [{"tool_calls": [{"function": {"arguments": json.dumps({"f": b64(PNG)})}}]}]},
    "Markdown": {"messages": f"see ![cat](data:image/png;base64,{b64(PNG)}) here"},
    "an error's text": {"error_message": f"invalid image: data:image/png;base64,{b64(PNG)}"},
    "metadata": {"session_metadata": {"avatar": "data:image/png;base64," + b64(PNG)}},
    "a request": {"completion_args": {"prompt": "?", "image": b64(PNG), "mask": PNG}},
    "bytes": {"extras": {"screenshot": PNG, "raw": NOISE}},
    "a message that is a data URL": {"messages": ["data:image/png;base64," + b64(PNG)]},
    "a loose attribute": {"attachment": b64(NOISE)},
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_media_are_stored_nowhere(place: str) -> None:
    kept = everything(record(**PLACES[place]))

    assert all(encoded[20:80] not in kept for encoded in (b64(PNG), b64(NOISE)))
    assert len(kept) < 3_000


def test_the_text_around_media_stays() -> None:
    (message,) = record(messages=f"see ![cat](data:image/png;base64,{b64(PNG)}) here").messages

    assert message.content.startswith("see ![cat]([image/png, 12008 bytes, SHA-256 ")
    assert message.content.endswith("]) here")


@pytest.mark.parametrize(
    "text",
    [
        "x" * 20_000,
        "a" * 64 + "B" * 5_000,
        "The quick brown fox " * 500,
        "https://example.com/" + "path/" * 300,
        "//vendor/lib/" + "module/" * 300,
        hashlib.sha512(b"x").hexdigest() * 100,
        "eyJhbGciOiJIUzI1NiJ9." + b64(NOISE[:3_000]).replace("=", "").replace("+", "a").replace("/", "b") + ".sig",
        "data:image/png;base64,iVBORw0KGgo= is how such a URL begins",
        "iVBORw0KGgo",
        "中文" * 2_000,
        "loremIpsumDolorSitAmet" * 200,
        json.dumps(list(range(2_000)), separators=(",", ":")),
        b64(b"Just a text of many words, encoded. " * 300),
    ],
)
@pytest.mark.parametrize("key", ["note", "content", "document", "data", "text"])
def test_what_is_no_media_stays(text: str, key: str) -> None:
    assert json.loads(record(extras={"v": {key: text}}).extras)["v"] == {key: text}


@pytest.mark.parametrize(
    "part",
    [
        {"type": "thinking", "thinking": "", "signature": b64(NOISE)},
        {"type": "redacted_thinking", "data": b64(NOISE)},
        {"type": "reasoning", "encrypted_content": b64(NOISE)},
        {"text": "x", "thoughtSignature": b64(NOISE)},
        {"id": "rs_" + b64(NOISE[:300])},
        {"hash": NOISE[:32]},
    ],
)
def test_what_a_provider_wants_back_stays(part: dict[str, Any]) -> None:
    kept = json.loads(record(extras={"v": part}).extras)["v"]

    expected = {name: "base64:" + b64(v) if isinstance(v, bytes) else v for name, v in part.items()}
    assert kept == expected


@pytest.mark.parametrize(
    "text",
    [
        "look:\n" + base64.encodebytes(PNG).decode() + "\nend",
        json.dumps({"a": "look:\n" + base64.encodebytes(PNG).decode()}),
        json.dumps({"a": base64.encodebytes(PNG).decode().replace("\n", "\r\n")}),
        "see data:image/png;base64," + base64.encodebytes(PNG).decode(),
        "see data:image/png;base64," + b64(PNG).replace("/", "\\/"),
        "data:image/png;base64," + b64(PNG).replace("/", "%2F").replace("+", "%2B").replace("=", "%3D"),
        b64(PNG).encode(),
    ],
    ids=[
        "lines",
        "lines in JSON",
        "CRLF in JSON",
        "URL in lines",
        "URL in PHP's JSON",
        "URL escaped",
        "bytes of base64",
    ],
)
def test_base64_in_lines_and_escaped_is_described(text: str | bytes) -> None:
    said = everything(record(messages=[{"role": "user", "content": [{"type": "note", "x": text}]}]))

    assert len(said) < 1_500
    assert hashlib.sha256(PNG).hexdigest() in said


def test_words_after_an_inline_image_stay() -> None:
    said = everything(record(messages=f"data:image/png;base64,{b64(PNG)}\nWhat is this?"))

    assert "What is this?" in said
