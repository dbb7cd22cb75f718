"""
Whatever a call of a model returned, as fields of a record.
"""

from typing import Any

import orjson

from aicore_sqllog.responses.answers import merged, read_body
from aicore_sqllog.responses.families.table import family_of
from aicore_sqllog.responses.family import Fields
from aicore_sqllog.responses.gather import StreamReader
from aicore_sqllog.responses.plain import class_name, to_plain
from aicore_sqllog.responses.providers import provider_of_sdk
from aicore_sqllog.responses.sdk_exceptions import body_of_http
from aicore_sqllog.values.freeze import describe

__all__ = ["read_response"]


def read_response(response: object) -> Fields:
    """
    Return the fields of a record that *response* tells; what has no field is in ``extras``.

    Takes an SDK's object, its JSON as builtins or as text, the list of a stream's chunks, an
    error's body, or a plain text, which is the answer itself. What is not known is absent. Never
    raises.
    """
    if response is None:
        return {}
    try:
        return _read_any(response)
    except Exception as exc:
        return {"extras": {"response": class_name(response), "fault": describe(exc)}}


def _read_any(response: Any) -> Fields:
    if isinstance(response, str | bytes):
        return _read_text(response if isinstance(response, str) else response.decode(errors="replace"))
    over_http = body_of_http(response)
    body = to_plain(response if over_http is None else over_http)
    if isinstance(body, list):
        return _read_chunks(body)
    if not isinstance(body, dict):
        return {"extras": {"response": body}}
    fields = read_body(body)
    sdk_provider = provider_of_sdk(response)
    if sdk_provider is not None:
        fields["provider"] = sdk_provider
    request_id = getattr(response, "_request_id", None)
    return merged({"extras": {"request_id": request_id}}, fields) if isinstance(request_id, str) else fields


def _read_text(text: str) -> Fields:
    """Return a text as the answer, unless it is the JSON of an answer (a model may well answer in JSON)."""
    if text[:1].isspace() or text[:1] in ("{", "["):
        try:
            body = orjson.loads(text)
        except orjson.JSONDecodeError:
            return {"response": text}
        if isinstance(body, dict) and family_of(body) is not None:
            return read_body(body)
    return {"response": text}


def _read_chunks(chunks: list[Any]) -> Fields:
    stream = StreamReader()
    for chunk in chunks:
        stream.add(chunk)
    return stream.result() if stream.is_answer else {"extras": {"response": chunks}}
