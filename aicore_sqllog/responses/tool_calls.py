"""
Calls of tools in one form, whichever provider made them: that of OpenAI's chat messages.
"""

from typing import Any

import orjson

from aicore_sqllog.responses.family import Body, compact
from aicore_sqllog.values.json import to_json

__all__ = ["read_json", "tool_call", "tool_call_of"]


def tool_call(call_id: object, name: object, arguments: Any) -> Body:
    """Return a call; arguments that are no text become JSON text."""
    text = arguments if isinstance(arguments, str) else to_json(arguments)
    return compact({"id": call_id, "type": "function", "function": {"name": name, "arguments": text}})


def tool_call_of(call: Body) -> Body:
    """Return a call that has the form already, or only lacks its type or the text of its arguments."""
    function = call.get("function")
    if not isinstance(function, dict):
        return call
    made = tool_call(call.get("id"), function.get("name"), function.get("arguments"))
    return {**call, **made}


def read_json(text: Any) -> Any:
    """Return what *text* says as JSON; of an abandoned stream it may be cut, then it stays as it is."""
    try:
        return orjson.loads(text)
    except (orjson.JSONDecodeError, TypeError):
        return text
