"""
What a provider says when it fails: the body of its error, alone or in an answer.
"""

from aicore_sqllog.responses.counts import as_name
from aicore_sqllog.responses.family import Body, Fields, compact, mappings
from aicore_sqllog.values.json import to_json

__all__ = ["error_in", "is_error", "read_error_body"]

_TYPES = ("type", "status", "code", "Code", "error_type", "errorCode", "name")
_TEXTS = ("message", "Message", "detail", "msg", "error_description", "errorMessage", "reason")
_TYPES_SET, _TEXTS_SET = frozenset(_TYPES), frozenset(_TEXTS)
_BESIDE = frozenset(
    {
        *_TYPES,
        *_TEXTS,
        "error",
        "errors",
        "object",
        "param",
        "path",
        "request_id",
        "requestId",
        "status_code",
        "statusCode",
        "success",
        "result",
        "messages",
        "timestamp",
        "metadata",
        "user_id",
        "id",
        "warnings",
        "estimated_time",
        "provider",
        "model",
    }
)
"""What stands beside an error where its body is nothing else."""


def is_error(body: Body) -> bool:
    """
    Whether *body*, which no family knows, tells of an error and of nothing else.

    One word is no mark of it: an application's own answer may well have a field ``error``.
    """
    error = body.get("error")
    if error_in(body) is not None and (body.keys() <= _BESIDE or _has_type_and_text(error)):
        return True
    if (body.get("type") == "error" or body.get("object") == "error") and not _TEXTS_SET.isdisjoint(body):
        return True
    return body.keys() == {"detail"} and _says_something(body["detail"])


def error_in(body: Body) -> Body | None:
    """Return *body* where it has an error beside whatever else it says; an empty text is none."""
    if _says_something(body.get("error")):
        return body
    if body.get("success") is False and mappings(body.get("errors")):
        return {**body, "error": mappings(body["errors"])[0]}
    return None


def read_error_body(body: Body) -> Fields:
    """Return the error that *body* tells of, its text and its type; the whole of it is in ``extras``."""
    error = body.get("error") or body
    if not isinstance(error, dict):
        kinds = [as_name(body.get(name)) for name in ("error_type", "code") if not isinstance(body.get(name), dict)]
        return _error(next(filter(None, kinds), None), _as_text(error), error)
    kinds = [as_name(error.get(name)) for name in _TYPES if error.get(name) != "error"]
    texts = [_as_text(error[name]) for name in _TEXTS if error.get(name)]
    return _error(next(filter(None, kinds), None), texts[0] if texts else None, error)


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else to_json(value)


def _error(kind: str | None, text: str | None, whole: object) -> Fields:
    return compact({"status": "error", "error_type": kind, "error_message": text, "extras": {"error": whole}})


def _has_type_and_text(error: object) -> bool:
    return isinstance(error, dict) and not _TEXTS_SET.isdisjoint(error) and not _TYPES_SET.isdisjoint(error)


def _says_something(error: object) -> bool:
    """Whether an error's place holds one: not an empty text, and not a mapping of nothing but empty values."""
    if isinstance(error, str):
        return bool(error.strip())
    if isinstance(error, dict):
        return any(_says_something(value) for value in error.values())
    return bool(error)
