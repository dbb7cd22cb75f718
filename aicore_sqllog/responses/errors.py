"""
What a provider says when it fails: the body of its error, alone or in an answer.
"""

from aicore_sqllog.responses.counts import as_name
from aicore_sqllog.responses.family import Body, Fields, compact
from aicore_sqllog.values.json import to_json

__all__ = ["is_error", "read_error_body"]

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


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else to_json(value)
