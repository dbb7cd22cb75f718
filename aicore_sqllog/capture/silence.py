"""
What would pass in silence while a handler waits for it: told once in a process, with the remedy.
"""

import logging
from collections.abc import Mapping
from typing import Any

from aicore_sqllog.process import end

__all__ = ["tell_if_no_usage_was_sent", "tell_if_not_enabled", "tell_if_nothing_was_recorded"]

_OUTCOME = ("response", "input_tokens", "output_tokens", "cost", "finish_reason")

_told: set[str] = set()


def tell_if_not_enabled(logger: logging.Logger, level: int) -> None:
    """Tell that *logger* lets no record of *level* pass, which no handler will ever see."""
    if logger.isEnabledFor(level):
        return
    name, effective = logging.getLevelName(level), logging.getLevelName(logger.getEffectiveLevel())
    _tell_once(
        f"not enabled {logger.name}",
        f"an llm_operation was not logged, because the logger {logger.name!r} is at level {effective}. "
        f"Call logging.getLogger({logger.name!r}).setLevel(logging.{name}), or give its level in the configuration.",
    )


def tell_if_nothing_was_recorded(fields: Mapping[str, object]) -> None:
    """Tell that an operation has a request and no outcome: most likely its response was not given to it."""
    if any(fields.get(name) is not None for name in _OUTCOME):
        return
    _tell_once(
        "nothing recorded",
        f"an llm_operation of {fields.get('model') or fields.get('provider')} recorded no response. "
        "Call op.record(response), or op.stream(chunks), inside of its block.",
    )


def tell_if_no_usage_was_sent(fields: Mapping[str, Any]) -> None:
    """Tell that a stream of OpenAI's chat API came whole and without token counts: it must be asked for them."""
    extras = fields.get("extras") or {}
    is_whole = (extras.get("stream") or {}).get("state") == "ended"
    if not is_whole or extras.get("object") != "chat.completion.chunk" or fields.get("input_tokens") is not None:
        return
    _tell_once(
        "no usage",
        f"a stream of {fields.get('model') or fields.get('response_model')} told no token counts. "
        'Ask for them with stream_options={"include_usage": True}.',
    )


def _tell_once(reason: str, text: str) -> None:
    if reason not in _told:
        _told.add(reason)
        end.say(reason, text)
