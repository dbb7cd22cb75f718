"""
An answer of no known family: what is recognisable by the usual names, and the rest.
"""

from collections.abc import Mapping

from aicore_sqllog.responses.counts import Paths, as_name, at_path, read_counts
from aicore_sqllog.responses.family import Body, Fields, compact, mappings, rest

__all__ = ["find_facts", "read_unknown"]

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
_NAMES: Mapping[str, tuple[str, ...]] = {
    "response_model": ("model", "model_name", "response_metadata.model_name"),
    "finish_reason": (
        "finish_reason",
        "stop_reason",
        "stopReason",
        "done_reason",
        "response_metadata.finish_reason",
        "choices.0.finish_reason",
        "delta.finish_reason",
        "delta.stop_reason",
    ),
}
_MESSAGES = ("message", "output.message")
_TEXTS = ("content", "output_text", "text", "response", "completion")
_OF_A_MESSAGE = frozenset({*_TEXTS, "role", "type", "id", "name", "tool_calls", "object"})


def read_unknown(body: Body) -> Fields:
    """
    Return what *body* tells under the names that many use; ``extras`` has all but the answer itself.

    One common word makes no answer of an application's own model: such a thing is the response, whole.
    """
    facts = find_facts(body)
    response, used = _find_response(body)
    if not _is_answer(body, facts, response, used):
        return {} if not body else {"response": {"role": "assistant", "content": body}}
    return compact({**facts, "response": response, "extras": rest(body, used)})


def find_facts(body: Body) -> Fields:
    """Return model, finish reason and counts, where they stand under names that many use."""
    fields: Fields = {
        name: found
        for name, places in _NAMES.items()
        if (found := next(filter(None, (as_name(at_path(body, place)) for place in places)), None))
    }
    return {**fields, **read_counts(body, _COUNTS)}


def _is_answer(body: Body, facts: Fields, response: object, used: set[str]) -> bool:
    if not facts.keys().isdisjoint(_COUNTS):
        return True
    if response is not None and (not used.isdisjoint(("message", "output")) or body.keys() <= _OF_A_MESSAGE):
        return True
    return len(facts) + (response is not None) > 1


def _find_response(body: Body) -> tuple[object, set[str]]:
    for place in _MESSAGES:
        message = at_path(body, place)
        if isinstance(message, dict) and "content" in message:
            return {"role": "assistant", **message}, {place.partition(".")[0]}
    for name in _TEXTS:
        if body.get(name) and isinstance(body[name], str | list):
            calls = mappings(body.get("tool_calls")) or None
            said = {"role": "assistant", "content": body[name], "tool_calls": calls}
            return compact(said), {name, "tool_calls", "role"}
    return None, set()
