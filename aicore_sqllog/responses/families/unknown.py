"""
An answer of no known family: what is recognisable by the usual names, and the rest.
"""

from aicore_sqllog.responses.counts import Paths, as_name, at_path, read_counts
from aicore_sqllog.responses.family import Body, Fields, compact, rest

__all__ = ["read_unknown"]

_COUNTS: Paths = {
    "input_tokens": (
        "usage.input_tokens",
        "usage.prompt_tokens",
        "usage_metadata.input_tokens",
        "usage.tokens.input_tokens",
        "usage.inputTokens",
        "prompt_eval_count",
        "inputTextTokenCount",
    ),
    "output_tokens": (
        "usage.output_tokens",
        "usage.completion_tokens",
        "usage_metadata.output_tokens",
        "usage.tokens.output_tokens",
        "usage.outputTokens",
        "eval_count",
    ),
}
_NAMES = {
    "response_model": ("model", "model_name", "response_metadata.model_name"),
    "finish_reason": ("finish_reason", "stop_reason", "stopReason", "done_reason", "response_metadata.finish_reason"),
}
_MESSAGES = ("message", "output.message")
_TEXTS = ("content", "output_text", "text", "response", "completion")


def read_unknown(body: Body) -> Fields:
    """Return what *body* tells under the names that many use; ``extras`` has all but the answer itself."""
    response, used = _find_response(body)
    fields: Fields = {
        name: found
        for name, places in _NAMES.items()
        if (found := next(filter(None, (as_name(at_path(body, place)) for place in places)), None))
    }
    return compact({**fields, **read_counts(body, _COUNTS), "response": response, "extras": rest(body, used)})


def _find_response(body: Body) -> tuple[object, set[str]]:
    for place in _MESSAGES:
        message = at_path(body, place)
        if isinstance(message, dict) and "content" in message:
            return {"role": "assistant", **message}, {place.partition(".")[0]}
    for name in _TEXTS:
        if body.get(name) and isinstance(body[name], str | list):
            return compact({"role": "assistant", "content": body[name], "tool_calls": body.get("tool_calls")}), {
                name,
                "tool_calls",
                "role",
            }
    return None, set()
