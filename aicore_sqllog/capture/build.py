"""
From a :class:`~aicore_sqllog.capture.snapshot.Snapshot` to a ``CallRecord``; runs on the worker's thread.

A fault in a record never costs the record: the column gets what fits, and the raw value stays in
``extras["sqllog"]["invalid"]``.
"""

import logging
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aicore_sqllog import identity
from aicore_sqllog.capture.content import Content, sort_content
from aicore_sqllog.capture.convert import to_cost, to_count, to_instant, to_name, to_text
from aicore_sqllog.capture.encode import to_json
from aicore_sqllog.capture.fields import COLUMN_COUNTS, COLUMN_NAMES
from aicore_sqllog.capture.messages import read_messages
from aicore_sqllog.capture.record import CallRecord, Session
from aicore_sqllog.capture.snapshot import Snapshot

__all__ = ["Defaults", "RecordBuilder"]


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a record gets that carries none of its own."""

    session_id: str | None = None
    workspace: str | None = None
    agent_id: str | None = None
    user_id: str | None = None


class RecordBuilder:
    """Builds call records with the defaults of one handler; gives those without a session one for the process."""

    def __init__(self, defaults: Defaults) -> None:
        self._defaults = defaults
        self._process_session = (os.getpid(), identity.mint())

    def build(self, snapshot: Snapshot) -> CallRecord:
        """Return the record of *snapshot*; if anything about it fails, a record of what could be kept."""
        try:
            return self._build(sort_content(snapshot), snapshot)
        except Exception as exc:
            kept = Content(own={"fault": f"{type(exc).__qualname__} while reading the record"})
            return self._build(kept, snapshot)

    def _build(self, content: Content, snapshot: Snapshot) -> CallRecord:
        fields = content.fields
        names: dict[str, str | None] = {name: content.take(name, to_name) for name in COLUMN_NAMES}
        counts: dict[str, Any] = {name: content.take(name, to_count) for name in COLUMN_COUNTS}
        names["workspace"] = names["workspace"] or self._defaults.workspace
        names["agent_id"] = names["agent_id"] or self._defaults.agent_id
        names["user_id"] = names["user_id"] or self._defaults.user_id
        names["operation_type"] = names["operation_type"] or "completion"
        timestamp = content.take("timestamp", to_instant) or _created(snapshot)
        error_message = self._settle_outcome(names, content, snapshot)
        return CallRecord(
            minted_id=snapshot.minted_id,
            caller_id=content.take_id("operation_id"),
            parent_operation_id=content.take_id("parent_operation_id"),
            session=self._session(content, names["workspace"], names["agent_id"], timestamp),
            timestamp=timestamp,
            cost=content.take("cost", to_cost),
            error_message=error_message,
            messages=read_messages(fields.get("messages"), fields.get("response")),
            extras=content.extras_json(snapshot),
            **counts,
            **names,  # type: ignore[arg-type]  # the keys are the names of str fields
        )

    def _session(self, content: Content, workspace: str | None, agent_id: str | None, created_at: datetime) -> Session:
        raw = content.fields.get("session_id")
        if raw is None:
            raw = self._defaults.session_id
        session_id, key = identity.parse_uuid(raw), None
        if raw is None:
            session_id = self._own_session()
        elif session_id is None:
            key = content.take("session_id", to_name) or to_name(raw)[0]
            session_id = identity.session_id(workspace, to_text(raw)[0] or "")
        metadata = content.fields.get("session_metadata")
        return Session(
            session_id=session_id,
            session_key=key,
            workspace=workspace,
            agent_id=agent_id,
            created_at=created_at,
            metadata=None if metadata is None else to_json(metadata),
        )

    def _own_session(self) -> str:
        process, session_id = self._process_session
        if process != os.getpid():  # a forked child is a process of its own
            session_id = identity.mint()
            self._process_session = (os.getpid(), session_id)
        return session_id

    @staticmethod
    def _settle_outcome(names: dict[str, str | None], content: Content, snapshot: Snapshot) -> str | None:
        """Fill ``status`` and ``error_type``; return the error's text. An error with no text takes the log message."""
        message = content.take("error_message", to_text)
        failure = snapshot.failure
        if failure is not None:
            names["error_type"] = names["error_type"] or to_name(failure.error_type)[0]
            message = message if message is not None else to_text(failure.error_message or None)[0]
            content.own["traceback"] = failure.traceback
        is_error = message is not None or names["error_type"] is not None or failure is not None
        if names["status"] is None:
            names["status"] = "error" if is_error or _is_severe(snapshot.level_number) else "success"
        if names["status"] == "error" and message is None:
            message = to_text(snapshot.message)[0]
        return message


def _created(snapshot: Snapshot) -> datetime:
    """Return when the record was made; one that came from elsewhere (``makeLogRecord``) may not say so."""
    return to_instant(snapshot.created)[0] or datetime.now(UTC)


def _is_severe(level_number: object) -> bool:
    return isinstance(level_number, int) and level_number >= logging.ERROR
