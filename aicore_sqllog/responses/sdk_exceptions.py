"""
An exception of a provider's SDK, as fields of a record: what the provider said, and who it was.
"""

from typing import Any

import orjson

from aicore_sqllog.responses.counts import at_path
from aicore_sqllog.responses.errors import read_error_body
from aicore_sqllog.responses.family import Body, Fields, compact
from aicore_sqllog.responses.plain import to_plain
from aicore_sqllog.responses.providers import find_provider, provider_of_host
from aicore_sqllog.values.freeze import describe

__all__ = ["body_of_http", "read_exception"]


def read_exception(exception: BaseException) -> Fields:
    """
    Return ``error_type``, ``error_message``, ``status`` and ``extras`` of an exception, and ``provider`` where known.

    Of an SDK's exception they are what the provider said; of any other its class and its text. Never raises.
    """
    try:
        return _read(exception)
    except Exception:
        return {"status": "error", "error_type": _class_name(exception)}


def _read(exception: BaseException) -> Fields:
    """Return the error that an SDK's *exception* carries; without a body, its class and its text."""
    body = _body_of(exception)
    told = read_error_body(body) if body else {}
    places = (_held(exception, "status_code"), _held(exception, "code"), _status_in(_held(exception, "response")))
    codes = [code for code in places if isinstance(code, int)]
    extras: Any = told.get("extras", {})
    return compact(
        {
            "provider": find_provider(body or {}) or provider_of_host(_host_of(exception)),
            **told,
            "status": "error",
            "error_type": told.get("error_type") or _class_name(exception),
            "error_message": told.get("error_message") or _held_text(exception),
            "extras": {**extras, **({"status_code": codes[0]} if codes else {})},
        }
    )


def body_of_http(response: object) -> Any:
    """
    Return the JSON that an HTTP response, or an SDK's wrapper of one, has already read; else None.

    httpx and requests keep its bytes as ``_content``: asking for anything public might read from the network.
    """
    raw = _held(response, "_content") or _held(_held(response, "http_response"), "_content")
    try:
        return orjson.loads(raw) if isinstance(raw, bytes) else None
    except orjson.JSONDecodeError:
        return None


def _body_of(exception: BaseException) -> Body | None:
    """Return the first body that is there: where openai and anthropic, google-genai, boto3 and others keep it."""
    response, text = _held(exception, "response"), _held(exception, "error")
    if isinstance(text, str) and text and isinstance(_held(exception, "status_code"), int):
        return {"error": text}  # Ollama's, whose own text has the status behind it
    places = (_held(exception, "body"), _held(exception, "details"), response, body_of_http(response))
    for place in places:
        body = _as_body(place)
        if body is not None:
            return body
    return None


def _as_body(held: Any) -> Body | None:
    try:
        found = held[0] if isinstance(held, list) and held else held
        if not isinstance(found, dict):
            return None
        plain: Body = to_plain(found)
    except Exception:
        return None
    return {"error": plain["Error"]} if "Error" in plain else plain


def _status_in(response: Any) -> Any:
    """Return the status that boto3 keeps in the response of its exceptions."""
    return at_path(response, "ResponseMetadata.HTTPStatusCode") if type(response) is dict else None


def _host_of(exception: BaseException) -> object:
    return _held(_held(_held(exception, "request"), "url"), "host")


def _held(holder: object, name: str) -> Any:
    try:
        return getattr(holder, name, None)
    except Exception:
        return None


def _held_text(exception: BaseException) -> str | None:
    try:
        return str(exception) or None
    except Exception:
        return describe(exception)


def _class_name(exception: BaseException) -> str:
    kind = type(exception)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
