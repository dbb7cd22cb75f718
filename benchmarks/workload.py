"""
What is logged: calls with 14 fields, and conversations of two sizes. The texts are made up, English and of even length.
"""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

__all__ = ["SHAPES", "conversation", "fields"]

SHAPES = {"small": (3, 270), "large": (20, 2048)}
"""By name: how many messages, of how many characters each."""

_WORDS = (
    "The quarterly figures show that revenue in the northern region grew by 4.2 percent, while costs stayed flat; "
    "see order 2024-118 and the note of 3 May. Please summarise the three main reasons, and name a risk for each. "
)
_ROLES = ("system", "user", "assistant")


def conversation(shape: str) -> list[dict[str, str]]:
    """Return the messages of one call, the last of them the model's."""
    count, length = SHAPES[shape]
    text = (_WORDS * (length // len(_WORDS) + 1))[:length]
    return [{"role": _ROLES[min(number, 2)], "content": text} for number in range(count)]


def fields(number: int, shape: str = "small", *, has_objects: bool = False) -> dict[str, Any]:
    """Return what call *number* carries; with *has_objects* a time and an id that are no texts, too."""
    found: dict[str, Any] = {
        "session_id": f"chat-{number % 20}",
        "workspace": "bench",
        "agent_id": "agent",
        "action_id": f"step-{number}",
        "operation_type": "completion",
        "provider": "openai",
        "model": "gpt-4o",
        "input_tokens": 100,
        "output_tokens": 50,
        "latency_ms": 1200 + number % 100,
        "cost": 0.01,
        "status": "success",
        "extras": {"user": str(number)},
        "messages": conversation(shape),
    }
    if has_objects:
        found["timestamp"] = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
        found["extras"] = {"request": uuid.UUID(int=number)}
    return found
