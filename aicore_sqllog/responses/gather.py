"""
The chunks of a streamed answer, gathered to the fields that the same answer would have in one piece.
"""

import codecs
from functools import reduce

import orjson

from aicore_sqllog.responses.answers import merged, read_as, read_body, read_error
from aicore_sqllog.responses.costs import cost_beside
from aicore_sqllog.responses.counts import at_path
from aicore_sqllog.responses.errors import error_in, is_error
from aicore_sqllog.responses.families.table import family_of, family_of_chunk
from aicore_sqllog.responses.families.unknown import find_facts
from aicore_sqllog.responses.family import Accumulator, Body, Family, Fields
from aicore_sqllog.responses.merge import join_text
from aicore_sqllog.responses.plain import to_plain
from aicore_sqllog.responses.providers import provider_of_sdk
from aicore_sqllog.values.freeze import describe

__all__ = ["StreamReader"]

_MAX_UNKNOWN_CHUNKS = 1_000


class StreamReader:
    """Gathers the chunks of a streamed answer, objects or builtins, of any family; never raises."""

    def __init__(self) -> None:
        self.count = 0
        """How many chunks have come."""
        self._family: Family | None = None
        self._stream: Accumulator | None = None
        self._whole: Body | None = None
        self._error: Body | None = None
        self._provider: str | None = None
        self._texts: list[str] = []
        self._unknown: list[object] = []
        self._fault: str | None = None
        self._cost: float | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")  # bytes may be cut within a character

    @property
    def is_answer(self) -> bool:
        """Whether a family has known a chunk, or one told of an error."""
        return self._family is not None or self._error is not None

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
        self.count += 1
        try:
            self._add(chunk)
        except Exception as exc:
            self._fault = describe(exc)
            self._keep_unknown(to_plain(chunk))

    def result(self) -> Fields:
        """Return the fields of what has come so far; no ``status`` if it is not all."""
        try:
            return self._result()
        except Exception as exc:
            return {"extras": {"fault": describe(exc)}}

    def _add(self, chunk: object) -> None:
        if isinstance(chunk, str | bytes):
            text = chunk if isinstance(chunk, str) else self._decoder.decode(chunk)
            self._texts.extend([text] if text else [])
            return
        body = to_plain(_unwrapped(chunk))
        if not isinstance(body, dict):
            self._keep_unknown(body)
            return
        self._provider = self._provider or provider_of_sdk(chunk)
        self._cost = cost_beside(chunk) or self._cost
        self._add_body(body)

    def _add_body(self, body: Body) -> None:
        if self._family is None or not self._family.recognises_chunk(body):
            body = _provider_s(body)
        if self._family is None and (family := family_of_chunk(body)) is not None and family.open_stream is not None:
            self._family, self._stream = family, family.open_stream()
        is_failure = is_error(body) or (self._family is not None and error_in(body) is not None)
        if is_failure:
            self._error = body
        if self._family is not None and self._stream is not None and self._family.recognises_chunk(body):
            self._stream.add(body)
        elif self._family is None and family_of(body) is not None:
            self._whole = body
        elif not is_failure and not (self._family is not None and self._family.repeats(body)):
            self._keep_unknown(body)

    def _keep_unknown(self, chunk: object) -> None:
        if len(self._unknown) < _MAX_UNKNOWN_CHUNKS:
            self._unknown.append(chunk)

    def _result(self) -> Fields:
        fields = self._told()
        if self._error is not None:
            fields = merged(fields, read_error(self._error))
        if self._unknown:
            fields = merged(_heeding(self._unknown, fields), {"extras": {"chunks": list(self._unknown)}})
        if self._fault is not None:
            fields = merged(fields, {"extras": {"fault": self._fault}})
        if self._texts and fields.get("response") is None:
            fields["response"] = reduce(join_text, self._texts)
        if self._cost is not None:
            fields["cost"] = self._cost
        if self._provider is not None:
            fields.setdefault("provider", self._provider)
        return fields

    def _told(self) -> Fields:
        if self._family is not None and self._stream is not None:
            body = self._stream.body()
            fields = read_as(self._family, body)
            if not self._stream.is_complete and not is_error(body):
                fields.pop("status", None)
            return fields
        return {} if self._whole is None else read_body(self._whole)


def _provider_s(body: Body) -> Body:
    """Return the provider's chunk that another SDK's event holds, as Mistral's and LlamaIndex's do; else *body*."""
    if family_of_chunk(body) is not None or family_of(body) is not None:
        return body
    raw = at_path(body, "chunk.bytes")  # boto3's event of invoke_model_with_response_stream
    if isinstance(raw, str | bytes):
        decoded = orjson.loads(raw)
        return decoded if isinstance(decoded, dict) else body
    held = (value for value in body.values() if isinstance(value, dict) and family_of_chunk(value) is not None)
    return next(held, body)


def _heeding(chunks: list[object], fields: Fields) -> Fields:
    """Return *fields* with what chunks that no family knows say of the end, and the counts that are not known."""
    for chunk in chunks:
        told = find_facts(chunk) if isinstance(chunk, dict) else {}
        fields = {**told, **fields, **{name: told[name] for name in ("finish_reason",) if name in told}}
    return fields


def _unwrapped(chunk: object) -> object:
    """Return the provider's chunk inside an event of the openai SDK's own stream helper."""
    held = getattr(chunk, "__dict__", None)
    return held["chunk"] if held and held.get("type") == "chunk" and "chunk" in held else chunk
