"""
What a handler says of records that carry none of their own.
"""

from dataclasses import dataclass

__all__ = ["Defaults"]


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a record gets that carries none of its own."""

    session_id: str | None = None
    workspace: str | None = None
    agent_id: str | None = None
    user_id: str | None = None
