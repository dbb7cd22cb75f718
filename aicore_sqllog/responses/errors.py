"""
What a provider says when it fails: the body of its error, alone, in an answer, or in an SDK's exception.
"""

from typing import Any

import orjson

from aicore_sqllog.responses.counts import as_name
from aicore_sqllog.responses.family import Body, Fields, compact
from aicore_sqllog.responses.plain import to_plain
from aicore_sqllog.responses.providers import find_provider, provider_of_host
from aicore_sqllog.values.json import to_json

__all__ = ["body_of_http", "is_error", "read_error_body", "read_exception"]

_TYPES = ("type", "status", "code", "Code")
_TEXTS = ("message", "Message", "detail")


def is_error(body: Body) -> bool:
    """Whether *body* tells of an error."""
    if body.get("error"):
        return True
    return (body.get("type") == "error" and "message" in body) or body.keys() == {"detail"}


def read_error_body(body: Body) -> Fields:
    """Return the error that *body* tells of, its text and its type; the whole of it is in ``extras``."""
    error = body.get("error") or body
    if not isinstance(error, dict):
        return {"status": "error", "error_message": _as_text(error), "extras": {"error": error}}
    kinds = [as_name(error.get(name)) for name in _TYPES if error.get(name) != "error"]
    texts = [error[name] for name in _TEXTS if error.get(name)]
    return compact(
        {
            "status": "error",
            "error_type": next(filter(None, kinds), None),
            "error_message": _as_text(texts[0]) if texts else None,
            "extras": {"error": error},
        }
    )


def read_exception(exception: BaseException) -> Fields:
    """Return the error that an SDK's *exception* carries; without a body, its class and its text."""
    body = _body_of(exception)
    told = read_error_body(body) if body else {}
    codes = [code for name in ("status_code", "code") if isinstance(code := _held(exception, name), int)]
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
    response = _held(exception, "response")
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
        return None


def _class_name(exception: BaseException) -> str:
    kind = type(exception)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else to_json(value)
