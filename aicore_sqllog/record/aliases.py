"""
Names that others use for our fields: OpenTelemetry's GenAI conventions, and common older ones.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

__all__ = ["ALIASES", "Alias", "spread_outputs"]


class Alias(NamedTuple):
    """The field that a foreign name means, and how its value becomes the field's."""

    field: str
    read: Callable[[object], object] = lambda value: value


def _join(value: object) -> object:
    """Of a list of names each once, with a comma between them."""
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return ",".join(dict.fromkeys(value)) or None
    return value


def _decode(value: object) -> object:
    """What a JSON text says, for attributes of a span hold no lists of objects; any other value as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return orjson.loads(value)
        except ValueError:
            pass
    return value


ALIASES: dict[str, Alias] = {
    "gen_ai.operation.name": Alias("operation_type"),
    "gen_ai.provider.name": Alias("provider"),
    "gen_ai.system": Alias("provider"),
    "gen_ai.request.model": Alias("model"),
    "gen_ai.response.model": Alias("response_model"),
    "gen_ai.response.finish_reasons": Alias("finish_reason", _join),
    "gen_ai.conversation.id": Alias("session_id"),
    "gen_ai.agent.id": Alias("agent_id"),
    "gen_ai.usage.input_tokens": Alias("input_tokens"),
    "gen_ai.usage.prompt_tokens": Alias("input_tokens"),
    "gen_ai.usage.output_tokens": Alias("output_tokens"),
    "gen_ai.usage.completion_tokens": Alias("output_tokens"),
    "gen_ai.usage.cache_read.input_tokens": Alias("cache_read_tokens"),
    "gen_ai.usage.cache_read_input_tokens": Alias("cache_read_tokens"),
    "gen_ai.usage.cache_creation.input_tokens": Alias("cache_write_tokens"),
    "gen_ai.usage.cache_creation_input_tokens": Alias("cache_write_tokens"),
    "gen_ai.usage.reasoning.output_tokens": Alias("reasoning_tokens"),
    "gen_ai.usage.reasoning_tokens": Alias("reasoning_tokens"),
    "gen_ai.input.messages": Alias("messages", _decode),
    "gen_ai.prompt": Alias("messages", _decode),
    "gen_ai.output.messages": Alias("response", _decode),
    "gen_ai.completion": Alias("response", _decode),
    "error.type": Alias("error_type"),
    "error.message": Alias("error_message"),
    "prompt_tokens": Alias("input_tokens"),
    "completion_tokens": Alias("output_tokens"),
    "cached_tokens": Alias("cache_read_tokens"),
}
"""Where two names mean one field, the one that stands first here wins, and our own before all."""


def spread_outputs(fields: dict[str, Any]) -> None:
    """Let the answers of a list stand as messages each: OpenTelemetry's outputs are one for each choice."""
    answers = fields.get("response")
    if isinstance(answers, list) and all(isinstance(answer, dict) and "role" in answer for answer in answers):
        earlier = fields.get("messages")
        before = [] if earlier is None else list(earlier) if isinstance(earlier, list | tuple) else [earlier]
        fields["messages"] = before + answers[:-1]
        fields["response"] = answers[-1] if answers else None
