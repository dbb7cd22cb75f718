"""
Names that others use for our fields: OpenTelemetry's GenAI conventions, and common older ones.

The conventions rename: every name that they once had is read, for ever. No column has such a name.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

__all__ = ["ALIASES", "Alias", "arrange_messages", "with_own_names"]


class Alias(NamedTuple):
    """The field that a foreign name means, and how its value becomes the field's."""

    field: str
    read: Callable[[object], object] = lambda value: value


def _decode(value: object) -> object:
    """What a JSON text says, for attributes of a span hold no lists of objects; any other value as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return orjson.loads(value)
        except ValueError:
            pass
    return value


def _join(value: object) -> object:
    """Of a list of names each once, with a comma between them."""
    value = _decode(value)
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return ",".join(dict.fromkeys(value)) or None
    return value


def _milliseconds(seconds: object) -> object:
    return seconds * 1000 if isinstance(seconds, int | float) and not isinstance(seconds, bool) else seconds


def _amount(cost: object) -> object:
    """The amount of a cost that names its currency too."""
    return cost.get("amount", cost) if isinstance(cost, dict) else cost


_INSTRUCTIONS = "system_instructions"
_CALL_ID, _CALL_ARGUMENTS, _CALL_RESULT = "tool_call_id", "tool_call_arguments", "tool_call_result"
_TOOL_NAME = "gen_ai.tool.name"

ALIASES: dict[str, Alias] = {
    "gen_ai.operation.name": Alias("operation_type"),
    "gen_ai.provider.name": Alias("provider"),
    "gen_ai.system": Alias("provider"),
    "gen_ai.request.model": Alias("model"),
    "gen_ai.response.model": Alias("response_model"),
    "gen_ai.response.finish_reasons": Alias("finish_reason", _join),
    "gen_ai.response.time_to_first_chunk": Alias("time_to_first_token_ms", _milliseconds),
    "gen_ai.conversation.id": Alias("session_id"),
    "gen_ai.agent.id": Alias("agent_id"),
    "gen_ai.agent.name": Alias("agent_id"),
    _TOOL_NAME: Alias("action_id"),
    "gen_ai.usage.input_tokens": Alias("input_tokens"),
    "gen_ai.usage.prompt_tokens": Alias("input_tokens"),
    "gen_ai.usage.output_tokens": Alias("output_tokens"),
    "gen_ai.usage.completion_tokens": Alias("output_tokens"),
    "gen_ai.usage.cache_read.input_tokens": Alias("cache_read_tokens"),
    "gen_ai.usage.cache_read_input_tokens": Alias("cache_read_tokens"),
    "gen_ai.usage.cache_write.input_tokens": Alias("cache_write_tokens"),
    "gen_ai.usage.cache_creation.input_tokens": Alias("cache_write_tokens"),
    "gen_ai.usage.cache_creation_input_tokens": Alias("cache_write_tokens"),
    "gen_ai.usage.reasoning.output_tokens": Alias("reasoning_tokens"),
    "gen_ai.usage.reasoning_tokens": Alias("reasoning_tokens"),
    "gen_ai.usage.cost": Alias("cost", _amount),
    "gen_ai.usage.cost.amount": Alias("cost"),
    "gen_ai.input.messages": Alias("messages", _decode),
    "gen_ai.prompt": Alias("messages", _decode),
    "gen_ai.output.messages": Alias("response", _decode),
    "gen_ai.completion": Alias("response", _decode),
    "gen_ai.system_instructions": Alias(_INSTRUCTIONS, _decode),
    "gen_ai.tool.call.id": Alias(_CALL_ID),
    "gen_ai.tool.call.arguments": Alias(_CALL_ARGUMENTS, _decode),
    "gen_ai.tool.call.result": Alias(_CALL_RESULT, _decode),
    "error.type": Alias("error_type"),
    "error.message": Alias("error_message"),
    "prompt_tokens": Alias("input_tokens"),
    "completion_tokens": Alias("output_tokens"),
    "cached_tokens": Alias("cache_read_tokens"),
}
"""Where two names mean one field, the one that stands first here wins, and our own before all."""

_PARTS_OF_MESSAGES = frozenset({_INSTRUCTIONS, _CALL_ID, _CALL_ARGUMENTS, _CALL_RESULT})
"""What an alias may mean that is no field of its own but becomes a message, or part of one."""


def with_own_names(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return *fields* under our own names; of two that mean the same, the loser keeps its name."""
    own = {name: value for name, value in fields.items() if name not in ALIASES}
    for name, alias in ALIASES.items():
        if fields.get(name) is None:
            continue
        if alias.field in _PARTS_OF_MESSAGES or name == _TOOL_NAME or own.get(alias.field) is not None:
            own[name] = fields[name]
        else:
            own[alias.field] = alias.read(fields[name])
    return own


def arrange_messages(fields: dict[str, Any], aliased: Mapping[str, Any]) -> None:
    """
    Put OpenTelemetry's system instructions, tool call and list of outputs into ``messages`` and ``response``.

    Its outputs are one for each choice: they become messages each, and say how they finished.
    """
    messages = [*_instructions(fields.pop(_INSTRUCTIONS, None)), *_as_list(fields.get("messages"))]
    call_id, arguments, result = (fields.pop(name, None) for name in (_CALL_ID, _CALL_ARGUMENTS, _CALL_RESULT))
    if not (call_id is None and arguments is None and result is None):
        call = {"type": "tool_call", "id": call_id, "name": aliased.get(_TOOL_NAME), "arguments": arguments}
        messages.append({"role": "assistant", "parts": [{name: v for name, v in call.items() if v is not None}]})
    if result is not None:
        answer = {"type": "tool_call_response", "id": call_id, "response": result}
        answered = {"role": "tool", "parts": [{name: value for name, value in answer.items() if value is not None}]}
        if fields.get("response") is None:
            fields["response"] = answered
        else:
            messages.append(answered)
    answers = fields.get("response")
    if isinstance(answers, list) and all(isinstance(answer, dict) and "role" in answer for answer in answers):
        reasons = [answer["finish_reason"] for answer in answers if isinstance(answer.get("finish_reason"), str)]
        if fields.get("finish_reason") is None and reasons:
            fields["finish_reason"] = _join(reasons)
        messages.extend(answers[:-1])
        fields["response"] = answers[-1] if answers else None
    if messages:
        fields["messages"] = messages


def _instructions(value: object) -> list[Any]:
    """Return system instructions, a text or a list of parts, as one message; messages as they are."""
    if value is None:
        return []
    if isinstance(value, list | tuple):
        are_messages = all(isinstance(item, dict) and "role" in item for item in value)
        return list(value) if are_messages else [{"role": "system", "parts": list(value)}]
    return [{"role": "system", "content": value}]


def _as_list(messages: object) -> list[Any]:
    if messages is None:
        return []
    return list(messages) if isinstance(messages, list | tuple) else [messages]
