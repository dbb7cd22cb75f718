"""
The pieces of a streamed message into one: texts are joined, lists grow, what is stated once stays.
"""

from typing import Any

from aicore_sqllog.responses.family import Body

__all__ = ["extend_text", "join", "join_text", "merge_delta", "merge_tool_calls", "merge_usage", "says_something"]

_STATED = frozenset({"id", "type", "role", "index", "object", "name", "format", "status", "channel", "token_id"})
"""Values that come whole, and with some providers again in each piece."""


def extend_text(holder: Body, key: str, piece: object) -> bool:
    """Add *piece* to the text at *key*; return whether it said anything."""
    if not isinstance(piece, str) or not piece:
        return False
    so_far = holder.get(key)
    holder[key] = join_text(so_far, piece) if isinstance(so_far, str) else piece
    return True


def join_text(text: str, piece: str) -> str:
    """Return *text* and then *piece*; a character that was cut between its two surrogates is whole again."""
    if "\ud800" <= text[-1:] <= "\udbff" and "\udc00" <= piece[:1] <= "\udfff":
        whole = (text[-1] + piece[0]).encode("utf-16", "surrogatepass").decode("utf-16")
        return text[:-1] + whole + piece[1:]
    return text + piece


def merge_usage(usage: Body, later: object) -> None:
    """
    Let *later* add to *usage* or correct it, count by count.

    The counts of a later event are of the whole answer. Gateways send 0, or nothing, for what an
    earlier event has told: that takes no count back.
    """
    if not isinstance(later, dict):
        return
    for name, count in later.items():
        known = usage.get(name)
        if isinstance(known, dict) and isinstance(count, dict):
            merge_usage(known, count)
        elif known in (None, 0, "", []) or count not in (None, 0, "", [], {}):
            usage[name] = count


def merge_delta(message: Body, delta: Body) -> None:
    """Add a piece to *message*."""
    for key, piece in delta.items():
        if piece is None:
            message.setdefault(key, None)
        elif key == "tool_calls" and isinstance(piece, list):
            merge_tool_calls(message, piece)
        elif message.get(key) in (None, "", []):
            message[key] = piece
        elif key not in _STATED:
            message[key] = join(message[key], piece)


def join(have: Any, piece: Any) -> Any:
    """Return *have* and then *piece*, as one value."""
    if isinstance(have, list) or isinstance(piece, list):
        parts = _as_parts(have)
        for part in _as_parts(piece):
            _append_part(parts, part)
        return parts
    if isinstance(have, dict) and isinstance(piece, dict):
        merge_delta(have, piece)
        return have
    return join_text(have, piece) if isinstance(have, str) and isinstance(piece, str) else piece


def merge_tool_calls(message: Body, pieces: list[Any]) -> None:
    """Add pieces of tool calls: a piece belongs to the call of its index, unless its id says otherwise."""
    known = message.get("tool_calls")
    calls: list[Any] = known if isinstance(known, list) else []
    message["tool_calls"] = calls
    for piece in pieces:
        call = _call_of(calls, piece) if isinstance(piece, dict) else None
        if call is None:
            calls.append(piece)
        else:
            merge_delta(call, piece)


def says_something(delta: Body) -> bool:
    """Whether a piece holds any content, beside what it states of the message."""
    return any(bool(value) for key, value in delta.items() if key not in _STATED)


def _call_of(calls: list[Any], piece: Body) -> Body | None:
    """Some providers send no index, others 0 for every call: then a new id is a new call."""
    known = [call for call in calls if isinstance(call, dict)]
    if piece.get("index") is not None:
        known = [call for call in known if call.get("index") == piece["index"]]
    last = known[-1] if known else None
    if last is None or (piece.get("id") and last.get("id") and piece["id"] != last["id"]):
        return None
    return last


def _as_parts(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return [{"type": "text", "text": value}] if isinstance(value, str) and value else []


def _append_part(parts: list[Any], part: Any) -> None:
    last = parts[-1] if parts else None
    if isinstance(part, dict) and isinstance(last, dict) and _continues(last, part):
        merge_delta(last, part)
    else:
        parts.append(part)


def _continues(last: Body, part: Body) -> bool:
    if part.get("index") is not None or last.get("index") is not None:
        return part.get("index") == last.get("index") and part.get("type") == last.get("type")
    return part.get("type") in ("text", "thinking") and part.get("type") == last.get("type")
