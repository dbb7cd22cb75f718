"""
What this package notes beside a caller's extras: under one key of their JSON text.
"""

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["MINTED_ID", "OWN_KEY", "PARENT_RUN_ID", "RUN_ID", "TEXTS", "add_notes", "note_in", "without_texts"]

OWN_KEY = "sqllog"
"""The one key of ``extras`` that is ours."""

MINTED_ID = "minted_id"
"""The note that tells which record is stored under an id that the caller gave."""

RUN_ID = "run_id"
"""The note that tells which run of an operation with an id of the caller's it is."""

PARENT_RUN_ID = "parent_run_id"
"""The note that tells inside which run of such an operation it was logged."""


TEXTS = ("message", "request", "traceback", "stack", "fault", "invalid", "shadowed")
"""The notes that hold what was said, or may: a log message, a request, what did not fit its column."""


def note_in(extras: str | None, name: str) -> Any:
    """Return what *extras*, JSON text, holds under *name* among our notes; None if that cannot be told."""
    try:
        document = json.loads(extras or "{}")
    except ValueError:
        return None
    own = document.get(OWN_KEY) if isinstance(document, dict) else None
    return own.get(name) if isinstance(own, dict) else None


def add_notes(extras: str, notes: Mapping[str, Any]) -> str:
    """Return *extras*, JSON text, with *notes* among ours."""
    document = json.loads(extras)
    if not isinstance(document, dict):
        document = {"value": document}
    own = document.get(OWN_KEY)
    document[OWN_KEY] = {**(own if isinstance(own, dict) else {}), **notes}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def without_texts(extras: str | None) -> str | None:
    """Return *extras*, JSON text, without those of our notes that hold texts; None if it has none, or is no JSON."""
    try:
        document = json.loads(extras or "{}")
    except ValueError:
        return None
    own = document.get(OWN_KEY) if isinstance(document, dict) else None
    if not isinstance(own, dict) or not own.keys() & set(TEXTS):
        return None
    document[OWN_KEY] = {name: value for name, value in own.items() if name not in TEXTS}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
