"""
llm_operation: one line around a call of a model; its outcome becomes one log record.
"""

import logging
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, overload

from aicore_sqllog.capture.context import Frame, as_text, current_owner, enter, leave, surrounded_by, wrap
from aicore_sqllog.capture.fields import NOTES_KEY, require_fields
from aicore_sqllog.process.notices import Notices
from aicore_sqllog.record.aliases import with_own_names
from aicore_sqllog.responses.read import read_response
from aicore_sqllog.responses.sdk_exceptions import read_exception
from aicore_sqllog.responses.stream import AsyncStream, Stream, watch_stream
from aicore_sqllog.values.convert import to_consent
from aicore_sqllog.values.freeze import Frozen, freeze, thaw
from aicore_sqllog.values.ids import mint

__all__ = ["OperationScope", "llm_operation"]

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C")
AnyLogger = logging.Logger | logging.LoggerAdapter[Any] | str

_DEFAULT_TYPE = "completion"
_SURROUNDING = ("session_id", "workspace", "agent_id", "user_id")


class llm_operation:  # noqa: N801  # a context manager, named like those of contextlib
    """
    One call of a model: ``with``, ``async with``, or a decorator.

    On leaving, one record is logged: with the time it took, the status, the operation around it
    as its parent, and what ``record``, ``stream``, ``set`` and ``first_token`` of the yielded
    :class:`OperationScope` were told. An exception, a cancellation too, is logged as an error and
    goes on, untouched; of a generator that is closed early the status is ``"cancelled"``. Logging
    never raises into the block.

    As a decorator, on a function or a coroutine function, it records what the function returns
    unless the function recorded something itself, by ``llm_operation.current()``.

    Args:
        logger: Where the record is logged: a logger, an adapter, or a logger's name.

        operation_type, provider, model, messages, action_id, extras: Fields of the record. What the
            response tells fills those that are left out.

        fields: Any other field of a record, such as ``cost`` or ``user_id``.

    Raises:
        TypeError: If a field is unknown; the message names the nearest.

    Example:
        >>> with llm_operation(log, provider="openai", messages=messages) as op:
        ...     op.record(client.chat.completions.create(model="gpt-4o-mini", messages=messages))
    """

    def __init__(
        self,
        logger: AnyLogger,
        *,
        operation_type: str = _DEFAULT_TYPE,
        provider: str | None = None,
        model: str | None = None,
        messages: object = None,
        action_id: str | None = None,
        extras: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> None:
        require_fields(fields)
        named = {"operation_type": operation_type, "provider": provider, "model": model, "messages": messages}
        named |= {"action_id": action_id, "extras": None if extras is None else dict(extras)}
        self._logger = logger
        self._fields = {name: value for name, value in (named | fields).items() if value is not None}
        self._open: list[OperationScope] = []

    @staticmethod
    def current() -> "OperationScope | None":
        """Return the innermost operation around the caller, or None."""
        return current_owner(OperationScope)

    def __enter__(self) -> "OperationScope":
        scope = OperationScope(self._logger, self._fields)
        self._open.append(scope)
        return scope._begin()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        # One object may be open in several tasks. A generator may be closed in a context that never entered.
        scope = current_owner(OperationScope)
        if scope not in self._open:
            scope = self._open[-1]
        self._open.remove(scope)
        scope._leave(exc)

    async def __aenter__(self) -> "OperationScope":
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, exc, trace)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return *function* with each of its calls as an operation of its own."""
        return wrap(function, lambda: self, OperationScope._record_returned)


class OperationScope:
    """What ``with llm_operation(...) as op`` yields: the operation while it lasts."""

    operation_id: str
    """The id of its row, and the parent's id of the operations inside."""

    def __init__(self, logger: AnyLogger, fields: Mapping[str, Any]) -> None:
        own_id = mint()
        self.operation_id = as_text(fields.get("operation_id") or own_id)
        self._run_id = own_id
        self._logger = logger
        self._given: list[Frozen] = [freeze((dict(fields),))[0]]
        self._heard: list[Frozen] = []
        self._streams: list[Stream[Any] | AsyncStream[Any]] = []
        self._changes: dict[str, Any] = {name: as_text(fields[name]) for name in _SURROUNDING if name in fields}
        if not to_consent(fields.get("capture_content")):
            self._changes["captures_content"] = False
        self._first_token_at: float | None = None
        self._is_logged = False

    def record(self, response: R) -> R:
        """Take what *response*, an object or a mapping of a provider's, or a text, tells; return it as it is."""
        try:
            found = read_response(response)
        except Exception as exc:
            found = {"extras": {"response_fault": f"{type(exc).__name__} while reading the response"}}
        self._heard.append(freeze((found,))[0])
        return response

    def set(self, **fields: Any) -> None:
        """Set fields of the record; they win over what a response tells. Extras are added to those there are."""
        require_fields(fields)
        self._given.append(freeze((fields,))[0])

    def first_token(self) -> None:
        """Say that the first content has arrived, now; only the first time counts."""
        if self._first_token_at is None:
            self._first_token_at = time.perf_counter()

    @overload
    def stream(self, chunks: AsyncIterable[C]) -> AsyncStream[C]: ...
    @overload
    def stream(self, chunks: Iterable[C]) -> Stream[C]: ...
    def stream(self, chunks: Any) -> Any:
        """
        Return *chunks*, each handed on at once, with what they say gathered.

        A stream that is left before its end is recorded as abandoned. One that nothing has been read
        of when the block ends, for it was returned, keeps the operation open until its own end.
        """
        stream = watch_stream(chunks, self.first_token)
        self._streams.append(stream)
        return stream

    def _record_returned(self, value: object) -> None:
        is_stream = isinstance(value, Iterator | AsyncIterator)
        if value is not None and not is_stream and not self._heard and not self._streams:
            self.record(value)

    def _begin(self) -> "OperationScope":
        changes: dict[str, Any] = {**self._changes, "operation_id": self.operation_id}
        changes["operation_run_id"] = self._run_id
        if "session_id" in changes:
            changes["metadata"] = None  # what is around belongs to another session
        self._frame = enter(self, **changes)
        self._started_at = time.perf_counter()
        return self

    def _leave(self, exc: BaseException | None) -> None:
        leave(self._frame)
        unread = [stream for stream in self._streams if stream.state == "new"]
        if exc is None and unread:
            self._streams = []  # it holds us, and we not it: one that is never read is found when it is freed
            unread[-1].on_end = self._finish_with
        else:
            self._finish(exc)

    def _finish_with(self, stream: Any) -> None:
        self._streams = [stream]
        self._finish(None)
        self._streams = []

    def _finish(self, exc: BaseException | None) -> None:
        """Log the record. Whatever a handler or a filter of the application raises stays here."""
        ended_at = time.perf_counter()
        if self._is_logged:
            return
        self._is_logged = True
        last = self._streams[-1] if self._streams else None
        error = exc if exc is not None or last is None else last.error
        try:
            fields = self._fields(ended_at, error)
            surrounded_by(self._frame.outer, lambda: _log(self._logger, fields, error))
        except Exception as fault:
            _NOTICES.say("operation", f"an operation could not be logged: {type(fault).__qualname__}")
        for stream in self._streams:
            stream.error = None  # its traceback would keep the caller's frames alive

    def _fields(self, ended_at: float, error: BaseException | None) -> dict[str, Any]:
        heard = _merge([*(stream.result() for stream in self._streams), *(thaw(each)[0] for each in self._heard)])
        given = with_own_names(_merge(thaw(each)[0] for each in self._given))
        raised = {} if error is None else read_exception(error)
        fields = _merge([heard, raised, given])
        if fields.get("operation_type") == _DEFAULT_TYPE:  # what nobody chose
            fields["operation_type"] = heard.get("operation_type", _DEFAULT_TYPE)
        fields["operation_id"] = self.operation_id
        fields[NOTES_KEY] = {**fields.get(NOTES_KEY, {}), "run_id": self._run_id}
        fields.setdefault("latency_ms", (ended_at - self._started_at) * 1000)
        if self._first_token_at is not None:
            fields.setdefault("time_to_first_token_ms", (self._first_token_at - self._started_at) * 1000)
        if error is not None and "status" not in given:  # a response that came before it may have been a success
            fields["status"] = "cancelled" if isinstance(error, GeneratorExit) else "error"
        _add_surroundings(fields, self._frame)
        return fields


_NOTICES = Notices()


def _merge(parts: Iterable[Any]) -> dict[str, Any]:
    """Return the fields of all *parts*; the later win, and their extras add up."""
    merged: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            if name == "extras" and isinstance(value, dict) and isinstance(merged.get(name), dict):
                merged[name] = {**merged[name], **value}
            elif value is not None:
                merged[name] = value
    return merged


def _add_surroundings(fields: dict[str, Any], frame: Frame) -> None:
    """Write out what surrounds the operation: a queue may take the record to a thread that knows nothing of it."""
    around = frame.outer.surroundings if frame.outer is not None else None
    if around is None:
        return
    for name in _SURROUNDING:
        if getattr(around, name) is not None:
            fields.setdefault(name, getattr(around, name))
    if around.operation_id is not None and fields.get("parent_operation_id") is None:
        fields["parent_operation_id"] = around.operation_id
        fields[NOTES_KEY]["parent_run_id"] = around.operation_run_id
    if around.metadata is not None and fields["session_id"] == around.session_id:
        fields.setdefault("session_metadata", thaw(around.metadata)[0])
    if not around.captures_content:
        fields["capture_content"] = False


def _log(logger: AnyLogger, fields: dict[str, Any], error: BaseException | None) -> None:
    extra: dict[str, Any] = {}
    while isinstance(logger, logging.LoggerAdapter):  # which would put its own extra in the place of ours
        extra = {**(logger.extra or {}), **extra}
        logger = logger.logger
    if isinstance(logger, str):
        logger = logging.getLogger(logger)
    is_error = error is not None or bool(fields.get("error_type") or fields.get("error_message"))
    level = logging.ERROR if is_error and fields.get("status") != "cancelled" else logging.INFO
    logger.log(
        level,
        "%s of %s: %s",
        fields["operation_type"],
        fields.get("model"),
        fields.get("status", "done"),
        exc_info=error,
        extra={**extra, "llm": fields},
    )
