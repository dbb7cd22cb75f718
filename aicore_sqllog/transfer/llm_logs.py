"""
The ``logs.db`` of the command-line tool llm: its ``turns``, and the ``responses`` of versions before these.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

from aicore_sqllog.errors import TransferError
from aicore_sqllog.values.convert import to_instant

__all__ = ["is_llm", "llm_calls"]

_HEAD = b"SQLite format 3\0"
_LONGEST_CHAIN = 100_000


def is_llm(path: Path) -> bool:
    """Whether the file at *path* is SQLite's, with llm's tables."""
    with path.open("rb") as file:
        if file.read(len(_HEAD)) != _HEAD:
            return False
    try:
        with closing(_open(path)) as database:
            return bool(_tables(database) & {"turns", "responses"}) and "_llm_migrations" in _tables(database)
    except sqlite3.Error:
        return False


def llm_calls(path: Path) -> Iterator[dict[str, Any]]:
    """
    Yield the fields of each call, oldest first.

    Raises:
        TransferError: If the file is damaged.
    """
    try:
        with closing(_open(path)) as database:
            tables = _tables(database)
            if "responses" in tables:
                for row in database.execute("SELECT * FROM responses ORDER BY id"):
                    yield _without_nulls(_Responses(database, tables).fields(dict(row)))
            if "turns" in tables:
                for row in database.execute("SELECT * FROM turns ORDER BY id"):
                    yield _without_nulls(_Turns(database).fields(dict(row)))
    except sqlite3.Error as exc:
        raise TransferError(f"{path} cannot be read to its end: {exc}.") from None


class _Responses:
    """Calls of earlier versions: a prompt and a response in columns, what belongs to them in tables beside."""

    def __init__(self, database: sqlite3.Connection, tables: frozenset[str]) -> None:
        self._database = database
        self._tables = tables

    def fields(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of one call."""
        key = row["id"]
        asked = [*self._fragments("prompt_fragments", key), *filter(None, [row["prompt"]])]
        told = [*self._fragments("system_fragments", key), *filter(None, [row["system"]])]
        messages: list[dict[str, Any]] = [{"role": "system", "content": "\n".join(told)}] if told else []
        messages += map(_tool_result, self._of("tool_results", key))
        attached = self._attachments(key)
        if asked or attached:
            text = "\n".join(asked)
            parts = [{"type": "text", "text": text}, *attached]
            messages.append({"role": "user", "content": parts if attached else text})
        calls = [_tool_call(call) for call in self._of("tool_calls", key)]
        answer = {"role": "assistant", "content": row["response"], **({"tool_calls": calls} if calls else {})}
        if row.get("reasoning"):
            answer["reasoning"] = row["reasoning"]
        return {
            **_common(row, row.get("conversation_id")),
            "messages": messages,
            "response": answer,
        }

    def _fragments(self, table: str, key: str) -> Iterator[str]:
        if table in self._tables:
            select = (
                f"SELECT content FROM fragments JOIN {table} ON fragments.id = fragment_id "
                'WHERE response_id = ? ORDER BY "order"'
            )
            yield from (row["content"] for row in self._database.execute(select, (key,)))

    def _of(self, table: str, key: str) -> Sequence[Mapping[str, Any]]:
        if table not in self._tables:
            return ()
        return self._database.execute(f"SELECT * FROM {table} WHERE response_id = ? ORDER BY id", (key,)).fetchall()

    def _attachments(self, key: str) -> list[dict[str, Any]]:
        if "prompt_attachments" not in self._tables:
            return []
        select = (
            "SELECT attachments.id, type, path, url FROM attachments JOIN prompt_attachments ON attachments.id = "
            'attachment_id WHERE response_id = ? ORDER BY "order"'
        )
        return [_attachment(row) for row in self._database.execute(select, (key,))]


class _Turns:
    """Calls of today's versions: each points at the last message of what was asked, and at that of the answer."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def fields(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of one call."""
        asked, answers = row["parent_message_hash"], row["tip_message_hash"]
        messages = self._chain(asked, None) + self._chain(answers, asked)
        is_answered = bool(messages) and answers != asked
        return {
            **_common(row, row["thread_id"]),
            "messages": messages[:-1] if is_answered else messages,
            "response": messages[-1] if is_answered else None,
        }

    def _chain(self, tip: str | None, end: str | None) -> list[dict[str, Any]]:
        """Return the messages from *tip* back to *end*, which is not one of them, oldest first."""
        found: list[dict[str, Any]] = []
        while tip not in (None, end) and len(found) < _LONGEST_CHAIN:
            row = self._database.execute("SELECT parent_hash, role FROM messages WHERE hash = ?", (tip,)).fetchone()
            if row is None:
                break
            found.append(self._message(str(tip), row["role"]))
            tip = row["parent_hash"]
        return found[::-1]

    def _message(self, key: str, role: str) -> dict[str, Any]:
        parts = []
        for row in self._database.execute("SELECT * FROM parts WHERE message_hash = ? ORDER BY position", (key,)):
            part = _document(row["payload"]) or {}
            text = row["text"] if row["text"] is not None else self._referred(part.pop("text_ref", None))
            parts.append({"type": row["type"], **part, **({} if text is None else {"text": text})})
        texts = [part["text"] for part in parts if part["type"] == "text" and part.keys() == {"type", "text"}]
        return {"role": role, "content": texts[0] if len(texts) == len(parts) == 1 else parts}

    def _referred(self, pieces: Sequence[Mapping[str, Any]] | None) -> str | None:
        """Return the text that is kept as literals and fragments."""
        return None if pieces is None else "".join(map(self._piece, pieces))

    def _piece(self, piece: Mapping[str, Any]) -> str:
        if "literal" in piece:
            return str(piece["literal"])
        row = self._database.execute("SELECT content FROM fragments WHERE id = ?", (piece.get("fragment"),)).fetchone()
        return "" if row is None else str(row["content"])


def _common(row: Mapping[str, Any], conversation: str | None) -> dict[str, Any]:
    """Return what both kinds of rows have."""
    started = to_instant(row["datetime_utc"])[0]
    lasted = row.get("duration_ms")
    details = {"options": _document(row.get("options_json")), "token_details": _document(row.get("token_details"))}
    kept = {name: value for name, value in details.items() if value}
    return {
        "operation_id": row["id"],
        "session_id": conversation or row["id"],
        "timestamp": started and started + timedelta(milliseconds=lasted or 0),
        "model": row["model"],
        "response_model": row.get("resolved_model"),
        "input_tokens": row.get("input_tokens"),
        "output_tokens": row.get("output_tokens"),
        "latency_ms": lasted,
        "extras": {"llm": kept} if kept else None,
    }


def _tool_call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = {"name": call["name"], "arguments": call["arguments"]}
    return {"id": call["tool_call_id"], "type": "function", "function": function}


def _tool_result(result: Mapping[str, Any]) -> dict[str, Any]:
    call = {"tool_call_id": result["tool_call_id"], "name": result["name"]}
    return {"role": "tool", "content": result["output"], **call}


def _attachment(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an attachment was; its bytes are left where they are."""
    told = {"sha256": row["id"], "media_type": row["type"], "path": row["path"], "url": row["url"]}
    return _without_nulls({"type": "attachment", **told})


def _document(text: str | None) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


def _without_nulls(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    database.row_factory = sqlite3.Row
    return database


def _tables(database: sqlite3.Connection) -> frozenset[str]:
    return frozenset(row["name"] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'"))
