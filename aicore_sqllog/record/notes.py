"""
What this package notes beside a caller's extras: under one key of their JSON text.
"""

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["OWN_KEY", "add_notes", "note_in"]

OWN_KEY = "sqllog"
"""The one key of ``extras`` that is ours."""


def note_in(extras: str, name: str) -> Any:
    """Return what *extras*, JSON text, holds under *name* among our notes, or None."""
    document = json.loads(extras)
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
