"""
The provider's answer that a framework's own object holds: instructor's, and the result of pydantic-ai's agents.
"""

from typing import Any

from aicore_sqllog.responses.plain import to_plain

__all__ = ["answer_within"]


def answer_within(value: Any) -> Any:
    """
    Return the answer that *value* was made of; None where it holds none.

    instructor keeps it beside the application's own model. An agent of pydantic-ai may have asked several times:
    its last answer, with the usage of the whole run.
    """
    if isinstance(value, str | bytes | dict | list):
        return None
    raw = getattr(value, "_raw_response", None)
    if raw is not None and raw is not value:
        return raw
    kind = type(value)
    if not all(hasattr(kind, name) for name in ("all_messages", "new_messages", "usage", "response")):
        return None
    answer, usage = to_plain(value.response), value.usage
    return {**answer, "usage": to_plain(usage() if _is_function(usage) else usage)}


def _is_function(usage: Any) -> bool:
    """Whether *usage* must be called, as before version 2; since then it may be called and warns."""
    return not hasattr(usage, "input_tokens")
