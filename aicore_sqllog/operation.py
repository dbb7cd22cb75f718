"""
llm_operation: one line around a call of a model; its outcome becomes one log record.
"""

import time
import weakref
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, overload

from aicore_sqllog.capture.cancellation import is_cancellation
from aicore_sqllog.capture.context import as_text, current_owner, enter, inside, leave
from aicore_sqllog.capture.fields import NOTES_KEY, require_fields
from aicore_sqllog.capture.messages import as_items
from aicore_sqllog.capture.operation_record import SURROUNDING, AnyLogger, add_notes, add_surroundings, log_record
from aicore_sqllog.capture.silence import tell_if_no_usage_was_sent, tell_if_nothing_was_recorded
from aicore_sqllog.capture.unfinished import note_begun, note_ended
from aicore_sqllog.capture.wrapping import wrap
from aicore_sqllog.process.notices import Notices
from aicore_sqllog.record.aliases import with_own_names
from aicore_sqllog.responses.combine import combine, overlaid
from aicore_sqllog.responses.read import read_response
from aicore_sqllog.responses.sdk_exceptions import read_exception
from aicore_sqllog.responses.stream import AsyncStream, Stream, watch_returned, watch_stream
from aicore_sqllog.responses.watch import Watch
from aicore_sqllog.values.convert import to_consent
from aicore_sqllog.values.freeze import Frozen, freeze, thaw
from aicore_sqllog.values.ids import mint

__all__ = ["OperationScope", "llm_operation"]

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C")

_DEFAULT_TYPE = "completion"


class llm_operation:  # noqa: N801  # a context manager, named like those of contextlib
    """
    One call of a model: ``with``, ``async with``, or a decorator.

    On leaving, one record is logged: with the time it took, the status, the operation around it
    as its parent, and what ``record``, ``stream``, ``set`` and ``first_token`` of the yielded
    :class:`OperationScope` were told. An exception is logged as an error, a cancellation or a
    generator that is closed early as ``"cancelled"``; it goes on, untouched. Logging never raises
    into the block.

    As a decorator, on a function, an asynchronous one, an SDK's method or a generator, it records
    what is returned or yielded unless the function recorded something itself, by
    ``llm_operation.current()``. A stream that is returned keeps the operation open until its end.

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
        return wrap(function, lambda: _OperationCall(OperationScope(self._logger, self._fields)))


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
        self._answers: list[Frozen] = []
        self._watches: list[Watch] = []
        self._consents = [to_consent(fields.get("capture_content"))]
        self._changes: dict[str, Any] = {name: as_text(fields[name]) for name in SURROUNDING if name in fields}
        if not self._consents[0]:
            self._changes["captures_content"] = False
        self._first_token_at: float | None = None
        self._is_logged = False
        # What has operations inside, or a type of its own such as an agent or a tool, is no call of a model itself.
        self._is_call = fields.get("operation_type") == _DEFAULT_TYPE and ("model" in fields or "provider" in fields)
        self._awaited: weakref.ref[Watch] | None = None

    def record(self, response: R) -> R:
        """Take what *response*, an object or a mapping of a provider's, or a text, tells; return it as it is."""
        try:
            found = read_response(response)
        except Exception as exc:
            found = {"extras": {"response_fault": f"{type(exc).__name__} while reading the response"}}
        self._answers.append(freeze((found,))[0])
        return response

    def set(self, **fields: Any) -> None:
        """Set fields of the record; they win over what a response tells. Extras are added to those there are."""
        require_fields(fields)
        self._consents.append(to_consent(fields.get("capture_content")))
        if not self._consents[-1]:  # what is logged inside from now on speaks of the same texts
            self._scope.surroundings = self._scope.surroundings._replace(captures_content=False)
        self._given.append(freeze((fields,))[0])

    def first_token(self) -> None:
        """Say that the first content has arrived, now; only the first time counts."""
        if self._first_token_at is None:
            self._first_token_at = time.perf_counter()

    @overload
    def stream(self, chunks: AsyncIterable[C]) -> AsyncStream[C]: ...
    @overload
    def stream(self, chunks: Iterable[C]) -> Stream[C]: ...
    @overload
    def stream(self, chunks: AbstractAsyncContextManager[AsyncIterable[C], Any]) -> AsyncStream[C]: ...
    @overload
    def stream(self, chunks: AbstractContextManager[Iterable[C], Any]) -> Stream[C]: ...
    def stream(self, chunks: Any) -> Any:
        """
        Return *chunks*, each handed on at once, with what they say gathered.

        An SDK's stream may be read by its own helpers, too. A stream that is left before its end is
        recorded as abandoned, and as cancelled. One that nothing has been read of when the block ends,
        because it was returned, keeps the operation open until its own end.
        """
        watch = Watch(self.first_token)
        self._watches.append(watch)
        return watch_stream(chunks, watch)

    def _record_returned(self, value: R) -> R:
        """Record what a decorated function has returned; return it, or the stream that it is, watched."""
        if value is None or self._answers or self._watches:
            return value
        watch = Watch(self.first_token)
        stream: R | None = watch_returned(value, watch)
        if stream is None:
            return self.record(value)
        self._watches.append(watch)
        return stream

    def _begin(self) -> "OperationScope":
        changes: dict[str, Any] = {**self._changes, "operation_id": self.operation_id}
        changes["operation_run_id"] = self._run_id
        around = current_owner(OperationScope)
        if around is not None:
            around._is_call = False
        if "session_id" in changes:
            changes["metadata"] = None  # what is around belongs to another session
        self._scope = enter(self, **changes)
        self._started_at = time.perf_counter()
        note_begun(self)
        return self

    def _leave(self, exc: BaseException | None) -> None:
        leave(self._scope)
        unread = [watch for watch in self._watches if watch.is_unread]
        if exc is None and unread:
            self._watches = []  # it holds us, and we not it: one that is never read is found when it is freed
            unread[-1].on_end = self._finish_with
            self._awaited = weakref.ref(unread[-1])
        else:
            self._finish(exc, time.perf_counter())

    def end_with_process(self) -> None:
        """Log what is open when the process ends, as if a suspended generator had been closed."""
        watch = None if self._awaited is None else self._awaited()
        if watch is not None:
            watch.end("closed")
        else:
            self._finish(GeneratorExit(), time.perf_counter())

    def _finish_with(self, watch: Watch) -> None:
        self._watches = [watch]
        self._finish(None, watch.moved_at)
        self._watches = []

    def _finish(self, exc: BaseException | None, ended_at: float) -> None:
        """Log the record. Whatever a handler or a filter of the application raises stays here."""
        if self._is_logged:
            return
        self._is_logged = True
        note_ended(self)
        last = self._watches[-1] if self._watches else None
        error = exc if exc is not None or last is None else last.error
        try:
            fields = self._fields(ended_at, error)
            if error is None and self._is_call and not self._answers and not self._watches:
                tell_if_nothing_was_recorded(fields)
            if error is None and self._watches:
                tell_if_no_usage_was_sent(fields)
            with inside(self._scope.outer):
                log_record(self._logger, fields, error)
        except Exception as fault:
            _NOTICES.say("operation", f"an operation could not be logged: {type(fault).__qualname__}")
        for watch in self._watches:
            watch.error = None  # its traceback would keep the caller's frames alive

    def _fields(self, ended_at: float, error: BaseException | None) -> dict[str, Any]:
        answers = [*(watch.result() for watch in self._watches), *(thaw(each)[0] for each in self._answers)]
        told, earlier = combine(answers)  # type: ignore[arg-type]  # what was frozen were mappings
        given = with_own_names(overlaid(thaw(each)[0] for each in self._given))  # type: ignore[misc]
        raised = {} if error is None else read_exception(error)
        fields = overlaid([told, raised, given])
        if fields.get("operation_type") == _DEFAULT_TYPE:  # what nobody chose
            fields["operation_type"] = told.get("operation_type", _DEFAULT_TYPE)
        if earlier:
            fields["messages"] = [*as_items(fields.get("messages")), *earlier]
        fields["operation_id"] = self.operation_id
        fields[NOTES_KEY] = {"run_id": self._run_id}
        fields.setdefault("latency_ms", (ended_at - self._started_at) * 1000)
        if self._first_token_at is not None:
            fields.setdefault("time_to_first_token_ms", (self._first_token_at - self._started_at) * 1000)
        if is_cancellation(error) and "status" not in given:
            fields["status"] = "cancelled"
        if not all(self._consents):
            fields["capture_content"] = False
        add_notes(fields, told, given, error)
        add_surroundings(fields, self._scope)
        return fields


class _OperationCall:
    """One call of a decorated function."""

    def __init__(self, operation: OperationScope) -> None:
        self._operation = operation._begin()
        self.scope = operation._scope
        self._yielded: Watch | None = None

    def take(self, chunk: object) -> None:
        """Hear what the generator yields: an answer's chunks, unless it says otherwise."""
        if self._yielded is None:
            self._yielded = Watch(self._operation.first_token)
        self._yielded.take(chunk)

    def give(self, value: R) -> R:
        """Record what the function has returned."""
        return self._operation._record_returned(value)

    def end(self, error: BaseException | None) -> None:
        """End the operation, with what was yielded where the function recorded nothing itself."""
        operation, watch, self._yielded = self._operation, self._yielded, None
        if watch is not None:
            watch.end("ended" if error is None else "closed" if is_cancellation(error) else "failed", error)
            if not operation._answers and not operation._watches:
                operation._watches.append(watch)
        operation._leave(error)


_NOTICES = Notices()
