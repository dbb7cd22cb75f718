"""
Whatever a call of a model returned, as fields of a record.
"""

from typing import Any

import orjson

from aicore_sqllog.responses.answer_within import answer_within
from aicore_sqllog.responses.answers import merged, read_body
from aicore_sqllog.responses.costs import cost_beside
from aicore_sqllog.responses.errors import is_error
from aicore_sqllog.responses.families.table import family_of, family_of_chunk
from aicore_sqllog.responses.family import Fields
from aicore_sqllog.responses.gather import StreamReader
from aicore_sqllog.responses.plain import class_name, to_plain
from aicore_sqllog.responses.providers import provider_of_sdk
from aicore_sqllog.responses.sdk_exceptions import body_of_http
from aicore_sqllog.values.freeze import describe

__all__ = ["read_known_answer", "read_response"]

_FIRST_CHUNKS = 3
"""So many chunks of a list are looked at: the first may say nothing that only one family says."""


def read_response(response: object) -> Fields:
    """
    Return the fields of a record that *response* tells; what has no field is in ``extras``.

    Takes an SDK's object, its JSON as builtins or as text, the list of a stream's chunks, an
    error's body, or a plain text, which is the answer itself. Anything else is an answer too, and
    kept whole. What is not known is absent. Never raises.
    """
    if response is None:
        return {}
    try:
        return _read_any(response)
    except Exception as exc:
        return {"extras": {"response": class_name(response), "fault": describe(exc)}}


def read_known_answer(response: object) -> Fields:
    """Return what :func:`read_response` does of an answer that a family knows, or of an error; else nothing."""
    if isinstance(response, dict | list | str) and _is_known(response):
        return read_response(response)
    return {}


def _is_known(response: Any) -> bool:
    try:
        body = _decoded(response) if isinstance(response, str) else response
        if isinstance(body, list):
            return any(isinstance(chunk, dict) and family_of_chunk(chunk) is not None for chunk in body[:_FIRST_CHUNKS])
        return isinstance(body, dict) and (family_of(body) is not None or is_error(body))
    except Exception:
        return False


def _read_any(response: Any) -> Fields:
    held = answer_within(response)
    if held is not None:
        return _read_any(held)
    if isinstance(response, str | bytes):
        return _read_text(response if isinstance(response, str) else response.decode(errors="replace"))
    over_http = body_of_http(response)
    body = to_plain(response if over_http is None else over_http)
    if isinstance(body, list):
        return _read_chunks(body)
    if not isinstance(body, dict):
        return _whole(body)
    return merged(_read_beside(response), _without(read_body(body), provider_of_sdk(response)))


def _read_beside(response: object) -> Fields:
    """Return what an SDK's object says that its JSON does not."""
    found: Fields = {}
    request_id = getattr(response, "_request_id", None)
    if isinstance(request_id, str):
        found["extras"] = {"request_id": request_id}
    if (provider := provider_of_sdk(response)) is not None:
        found["provider"] = provider
    if (cost := cost_beside(response)) is not None:
        found["cost"] = cost
    return found


def _without(fields: Fields, sdk_provider: str | None) -> Fields:
    """Return *fields* without the provider that the answer seems to be of, where the SDK speaks to one only."""
    return fields if sdk_provider is None else {name: value for name, value in fields.items() if name != "provider"}


def _read_text(text: str) -> Fields:
    """Return a text as the answer, unless it is the JSON of an answer (a model may well answer in JSON)."""
    body = _decoded(text)
    if isinstance(body, dict) and family_of(body) is not None:
        return read_body(body)
    return {"response": text}


def _decoded(text: str) -> Any:
    if not (text[:1].isspace() or text[:1] in ("{", "[")):
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _read_chunks(chunks: list[Any]) -> Fields:
    stream = StreamReader()
    for chunk in chunks:
        stream.add(chunk)
    return stream.result() if stream.is_answer else _whole(chunks)


def _whole(value: object) -> Fields:
    """Return *value*, which is no provider's answer, as the response, whole."""
    return {"response": {"role": "assistant", "content": value}}
