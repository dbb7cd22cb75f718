"""
A provider request, as a record may carry it in ``completion_args``: what is lifted out of it, and the
rest with its secrets removed.
"""

import re
from typing import Any

import orjson

from aicore_sqllog.redactors import keys_and_tokens
from aicore_sqllog.values.secret_names import is_secret_name, is_secret_value

__all__ = ["lift_request", "without_secrets"]

_LIFTED = (
    ("model", ("model",)),
    ("messages", ("messages", "input", "contents", "prompt")),
    ("system_instructions", ("system", "instructions", "system_instruction")),
)
"""The fields that a request may give, and what they are called there."""

_SCHEMAS = frozenset({"tools", "functions", "response_format"})
"""Here a mapping that is called ``token`` is the schema of an argument, and no token."""

_HEADER_NAMES = ("name", "key", "header")
_HEADER_VALUES = ("value", "values", "val")
"""Where a header that is a mapping has its name, and what it holds."""

_SECRET_WORD = r"(?:key|token|secret|passw(?:or)?d|passphrase|authorization|cookie)s?"
_QUERY_SECRET = re.compile(
    rf"(?i)(?:(?<=[?&])|(?<=%3f)|(?<=%26)|(?<=%253f)|(?<=%2526))"
    rf"([\w-]{{0,40}}(?:{_SECRET_WORD}|sig|signature)(?:=|%3d|%253d))(?:(?!%26|%2526)[^&\s\"'\\])+"
)
_QUOTED_SECRET = re.compile(rf"(?i)({_SECRET_WORD}[\"'\\]{{0,4}}\s{{0,2}}[:=]\s{{0,2}}\\{{0,3}}[\"'])[^\"'\\]+")
"""As in the ``repr`` of a client, ``Client(api_key='…')``, and in JSON, be it escaped."""

_ASSIGNED_SECRET = re.compile(rf"(?i)(?<![\w?&-])([\w-]{{0,40}}{_SECRET_WORD}=)(?![\"'])[^\s&,;)\"'\\]{{6,}}")
"""As in a file of settings: ``OPENAI_API_KEY=…``."""


_WRITTEN_OUT = re.compile(
    r"(?im)((?:^|[\"'])[ \t]{0,40}(?:authorization|proxy-authorization|cookie|set-cookie|password|"
    rf"[\w-]{{1,40}}[_-](?:{_SECRET_WORD}))[ \t]?:[ \t]{{1,4}})(?![\"'])[^\s\"'][^\r\n\"']*"
)
"""As in a header and in YAML: ``X-Api-Key: …``, to the end of the line."""


def lift_request(fields: dict[str, Any]) -> object:
    """Fill ``model`` and ``messages`` of *fields* from its ``completion_args``; return the rest without secrets."""
    arguments = _decoded(fields.pop("completion_args", None))
    if not isinstance(arguments, dict):
        return without_secrets(arguments)
    rest = dict(arguments)
    for field, names in _LIFTED:
        found = next((name for name in names if rest.get(name) is not None), None)
        if found is not None and (fields.get(field) is None or fields[field] == rest[found]):
            fields[field] = rest.pop(found)
    return without_secrets(rest) or None


def without_secrets(value: Any, *, in_schema: bool = False) -> Any:
    """Return *value*, a plain tree, without what is named like a secret or looks like one."""
    if isinstance(value, str):
        return _clean_text(value)
    if isinstance(value, dict):
        if any(is_secret_name(item) for name, item in value.items() if name.lower() in _HEADER_NAMES):
            value = {name: item for name, item in value.items() if name.lower() not in _HEADER_VALUES}
        return {
            keys_and_tokens(name): without_secrets(item, in_schema=in_schema or name in _SCHEMAS)
            for name, item in value.items()
            if not (is_secret_name(name) and is_secret_value(name, item)) or (in_schema and isinstance(item, dict))
        }
    if isinstance(value, list | tuple):
        return [without_secrets(item, in_schema=in_schema) for item in value if not _is_secret_pair(item)]
    return value


def _is_secret_pair(item: object) -> bool:
    """Whether *item* is a header as HTTP clients list them: its name and its value."""
    return isinstance(item, list | tuple) and len(item) == 2 and is_secret_name(item[0])


def _decoded(value: object) -> object:
    """Return what *value* says if it is JSON text of a mapping or a list; else *value*."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            pass
    return value


def _clean_text(text: str) -> str:
    decoded = _decoded(text)
    if decoded is not text:
        cleaned = without_secrets(decoded)
        text = text if cleaned == decoded else orjson.dumps(cleaned).decode()
    if "=" in text or "%3" in text or "%253" in text:
        text = _ASSIGNED_SECRET.sub(r"\1[secret]", _QUERY_SECRET.sub(r"\1[secret]", text))
    if ": " in text:
        text = _WRITTEN_OUT.sub(r"\1[secret]", text)
    return keys_and_tokens(_QUOTED_SECRET.sub(r"\1[secret]", text))
