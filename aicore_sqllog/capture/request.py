"""
A provider request, as a record may carry it in ``completion_args``: what is lifted out of it, and the
rest with its secrets removed.
"""

import re
from typing import Any

from aicore_sqllog.redactors import keys_and_tokens

__all__ = ["lift_request", "without_secrets"]

_LIFTED = (("model", ("model",)), ("messages", ("messages", "input")))
"""The fields that a request may give, and what they are called there."""

_SECRET_NAME = re.compile(r"(keys?|token|secrets?|passw(or)?d|passphrase|credentials?|authorization|auth|cookie)$")
_HARMLESS = frozenset({"prompt_cache_key"})
_SCHEMAS = frozenset({"tools", "functions", "response_format"})
"""Here a mapping that is called ``token`` is the schema of an argument, and no token."""

_QUERY_SECRET = re.compile(r"(?i)(?<=[?&])([\w-]{0,40}(?:key|token|secret|sig|signature|password)=)[^&\s]+")
_QUOTED_SECRET = re.compile(r"(?i)((?:key|token|secret|password|authorization)[\"']?\s{0,2}[:=]\s{0,2}[\"'])[^\"']+")
"""As in the ``repr`` of a client: ``Client(api_key='…')``."""

_MAX_DEPTH = 60


def lift_request(fields: dict[str, Any]) -> object:
    """Fill ``model`` and ``messages`` of *fields* from its ``completion_args``; return the rest without secrets."""
    arguments = fields.pop("completion_args", None)
    if not isinstance(arguments, dict):
        return without_secrets(arguments)
    rest = dict(arguments)
    for field, names in _LIFTED:
        found = next((name for name in names if rest.get(name) is not None), None)
        if found is not None and (fields.get(field) is None or fields[field] == rest[found]):
            fields[field] = rest.pop(found)
    return without_secrets(rest) or None


def without_secrets(value: object, *, depth: int = 0, in_schema: bool = False) -> Any:
    """Return *value* without what is named like a secret or looks like one, at any depth."""
    if isinstance(value, str):
        return _clean_text(value)
    if depth > _MAX_DEPTH:
        return "<nested too deeply>" if isinstance(value, dict | list | tuple) else value
    if isinstance(value, dict):
        return {
            name: without_secrets(item, depth=depth + 1, in_schema=in_schema or name in _SCHEMAS)
            for name, item in value.items()
            if not _is_secret_name(name) or (in_schema and isinstance(item, dict))
        }
    if isinstance(value, list | tuple | set | frozenset):
        kept = (item for item in value if not _is_secret_pair(item))
        return [without_secrets(item, depth=depth + 1, in_schema=in_schema) for item in kept]
    return _clean_text(value.decode("utf-8", "replace")) if isinstance(value, bytes) else value


def _is_secret_name(name: object) -> bool:
    text = name.decode("utf-8", "replace") if isinstance(name, bytes) else name
    return isinstance(text, str) and text not in _HARMLESS and bool(_SECRET_NAME.search(text.lower().rstrip("_- ")))


def _is_secret_pair(item: object) -> bool:
    """Whether *item* is a header as HTTP clients list them: its name and its value."""
    return isinstance(item, list | tuple) and len(item) == 2 and _is_secret_name(item[0])


def _clean_text(text: str) -> str:
    if "=" in text:
        text = _QUERY_SECRET.sub(r"\1[secret]", text)
    return keys_and_tokens(_QUOTED_SECRET.sub(r"\1[secret]", text))
