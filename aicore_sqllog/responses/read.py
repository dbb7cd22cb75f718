"""
The table of families, and what reads by it: a whole answer, a stream, an exception.
"""

from typing import Any

import orjson

from aicore_sqllog.responses.errors import body_of_http, is_error, read_error_body, read_exception
from aicore_sqllog.responses.families.anthropic_messages import ANTHROPIC_MESSAGES
from aicore_sqllog.responses.families.bedrock_converse import BEDROCK_CONVERSE
from aicore_sqllog.responses.families.gemini import GEMINI, camel_case
from aicore_sqllog.responses.families.gemini_embeddings import GEMINI_EMBEDDINGS
from aicore_sqllog.responses.families.openai_chat import OPENAI_CHAT
from aicore_sqllog.responses.families.openai_completions import OPENAI_COMPLETIONS
from aicore_sqllog.responses.families.openai_embeddings import OPENAI_EMBEDDINGS
from aicore_sqllog.responses.families.openai_responses import OPENAI_RESPONSES
from aicore_sqllog.responses.families.unknown import read_unknown
from aicore_sqllog.responses.family import Accumulator, Body, Family, Fields
from aicore_sqllog.responses.plain import class_name, to_plain
from aicore_sqllog.responses.providers import find_provider, provider_of_sdk
from aicore_sqllog.values.freeze import describe

__all__ = ["FAMILIES", "StreamReader", "open_stream", "read_error", "read_response"]

FAMILIES: tuple[Family, ...] = (
    ANTHROPIC_MESSAGES,
    OPENAI_RESPONSES,
    OPENAI_CHAT,
    OPENAI_COMPLETIONS,
    OPENAI_EMBEDDINGS,
    GEMINI_EMBEDDINGS,
    GEMINI,
    BEDROCK_CONVERSE,
)
"""The families, the first that recognises an answer reads it."""

_MAX_UNKNOWN_CHUNKS = 1_000


def read_response(response: object) -> dict[str, object]:
    """
    Return the fields of a record that *response* tells; what has no field is in ``extras``.

    Takes an SDK's object, its JSON as builtins, the list of a stream's chunks, an error's body, or
    a plain text, which is the answer itself. What is not known is absent. Never raises.
    """
    if response is None:
        return {}
    try:
        return _read_any(response)
    except Exception as exc:
        return {"extras": {"response": class_name(response), "fault": describe(exc)}}


def read_error(exception: BaseException) -> dict[str, object]:
    """
    Return ``error_type``, ``error_message``, ``status`` and ``extras`` of an exception, and ``provider`` where known.

    Of an SDK's exception they are what the provider said; of any other its class and its text. Never raises.
    """
    try:
        return read_exception(exception)
    except Exception:
        return {"status": "error", "error_type": type(exception).__qualname__}


def open_stream() -> "StreamReader":
    """Return a reader for the chunks of one streamed answer."""
    return StreamReader()


class StreamReader:
    """Gathers the chunks of a streamed answer, objects or builtins, of any family; never raises."""

    def __init__(self) -> None:
        self._family: Family | None = None
        self._stream: Accumulator | None = None
        self._whole: Body | None = None
        self._error: Body | None = None
        self._provider: str | None = None
        self._texts: list[str] = []
        self._unknown: list[object] = []
        self._fault: str | None = None

    @property
    def has_content(self) -> bool:
        """Whether any text, reasoning or tool call came yet."""
        return bool(self._texts) or self._whole is not None or (self._stream is not None and self._stream.has_content)

    @property
    def is_complete(self) -> bool:
        """Whether the provider said that the answer is over."""
        return self._whole is not None or (self._stream is not None and self._stream.is_complete)

    def add(self, chunk: object) -> None:
        """Take the next chunk."""
        try:
            self._add(chunk)
        except Exception as exc:
            self._fault = describe(exc)
            self._keep_unknown(to_plain(chunk))

    def result(self) -> dict[str, object]:
        """Return the same fields as :func:`read_response`, of what has come so far; no ``status`` if it is not all."""
        try:
            return self._result()
        except Exception as exc:
            return {"extras": {"fault": describe(exc)}}

    def _add(self, chunk: object) -> None:
        if isinstance(chunk, str | bytes):
            text = chunk if isinstance(chunk, str) else chunk.decode(errors="replace")
            self._texts.extend([text] if text else [])
            return
        body = to_plain(_unwrapped(chunk))
        if not isinstance(body, dict):
            self._keep_unknown(body)
            return
        self._provider = self._provider or provider_of_sdk(chunk)
        if is_error(body):
            self._error = body
        if self._family is None:
            self._family = _first(family for family in FAMILIES if family.recognises_chunk(body))
            self._stream = self._family.open_stream() if self._family and self._family.open_stream else None
        if self._family is not None and self._stream is not None:
            if self._family.recognises_chunk(body):
                self._stream.add(body)
        elif any(family.recognises(body) for family in FAMILIES):
            self._whole = body
        elif not is_error(body):
            self._keep_unknown(body)

    def _keep_unknown(self, chunk: object) -> None:
        if len(self._unknown) < _MAX_UNKNOWN_CHUNKS:
            self._unknown.append(chunk)

    def _result(self) -> Fields:
        if self._family is not None and self._stream is not None:
            body = self._stream.body()
            fields = _with_provider(_read_with(self._family, body), body)
            if not self._stream.is_complete:
                fields.pop("status", None)
            if is_error(body):
                fields = _merged(fields, read_error_body(body))
        elif self._whole is not None:
            fields = _read_body(self._whole)
        else:
            fields = {"response": "".join(self._texts)} if self._texts else {}
        if self._error is not None:
            fields = _merged(fields, _with_provider(read_error_body(self._error), self._error))
        if self._unknown:
            fields = _merged(fields, {"extras": {"chunks": list(self._unknown)}})
        if self._fault is not None:
            fields = _merged(fields, {"extras": {"fault": self._fault}})
        if self._provider is not None:
            fields.setdefault("provider", self._provider)
        return fields


def _read_any(response: Any) -> Fields:
    if isinstance(response, str | bytes):
        return _read_text(response if isinstance(response, str) else response.decode(errors="replace"))
    over_http = body_of_http(response)
    body = to_plain(response if over_http is None else over_http)
    if isinstance(body, list):
        return _read_chunks(body)
    if not isinstance(body, dict):
        return {"extras": {"response": body}}
    fields = _read_body(body)
    sdk_provider = provider_of_sdk(response)
    if sdk_provider is not None:
        fields["provider"] = sdk_provider
    request_id = getattr(response, "_request_id", None)
    return _merged({"extras": {"request_id": request_id}}, fields) if isinstance(request_id, str) else fields


def _read_text(text: str) -> Fields:
    """Return a text as the answer, unless it is the JSON of an answer (a model may well answer in JSON)."""
    if text[:1].isspace() or text[:1] in ("{", "["):
        try:
            body = orjson.loads(text)
        except orjson.JSONDecodeError:
            return {"response": text}
        if isinstance(body, dict) and any(family.recognises(body) for family in FAMILIES):
            return _read_body(body)
    return {"response": text}


def _read_chunks(chunks: list[Any]) -> Fields:
    stream = StreamReader()
    for chunk in chunks:
        stream.add(chunk)
    return stream.result() if stream._family is not None or stream._error else {"extras": {"response": chunks}}


def _read_body(body: Body) -> Fields:
    family = _first(family for family in FAMILIES if family.recognises(body))
    if family is None and is_error(body):
        fields: Fields = {"extras": {name: item for name, item in body.items() if item is not None}}
    else:
        fields = _read_with(family, body) if family else read_unknown(body)
    if is_error(body):
        fields = _merged(fields, read_error_body(body))
    return _with_provider(fields, body)


def _read_with(family: Family, body: Body) -> Fields:
    try:
        return family.read(body)
    except Exception as exc:
        return _merged(read_unknown(body), {"extras": {"fault": describe(exc)}})


def _with_provider(fields: Fields, body: Body) -> Fields:
    provider = find_provider(camel_case(body) if "usage_metadata" in body else body)
    return {"provider": provider, **fields} if provider else fields


def _merged(fields: Fields, more: Fields) -> Fields:
    extras: Any = fields.get("extras", {})
    more_extras: Any = more.get("extras", {})
    both = {**fields, **more}
    return {**both, "extras": {**extras, **more_extras}} if "extras" in both else both


def _unwrapped(chunk: Any) -> Any:
    """Return the provider's chunk inside an event of the openai SDK's own stream helper."""
    held = getattr(chunk, "__dict__", None)
    return held["chunk"] if held and held.get("type") == "chunk" and "chunk" in held else chunk


def _first(families: Any) -> Family | None:
    return next(iter(families), None)
