"""
OpenTelemetry's GenAI spans and events: each call of a model, of a tool and of an agent is an operation.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk.trace import SpanProcessor

from aicore_sqllog.capture.context import Scopes, current_scopes
from aicore_sqllog.capture.operation_record import AnyLogger
from aicore_sqllog.integrations.open_operation import OpenOperation
from aicore_sqllog.integrations.span_fields import EVALUATION, fields_of, is_about_a_model
from aicore_sqllog.operation import llm_operation

__all__ = ["SQLLogSpanProcessor"]

_MOST_SPANS = 10_000
"""So many spans are known at once, those that have ended included: a child may end after its parent."""

_MOST_EVENTS = 1_000
_Key = tuple[int, int]


class _Span:
    """A span that has begun: what surrounded it, and its operation once it is known to be one."""

    def __init__(self, span: Any, parent: "_Span | None") -> None:
        self.span = span
        self.parent = parent
        self.scopes: Scopes = current_scopes()
        self.operation: OpenOperation | None = None
        self.events: list[tuple[str, Mapping[str, Any]]] = []


class SQLLogSpanProcessor(SpanProcessor, LogRecordProcessor):  # type: ignore[misc]  # to mypy they are Any
    """
    Every span of the GenAI conventions, as an operation under the nearest such span around it.

    Spans of other kinds have no row; what they hold stands under the operation around them. The outermost stands
    under the ``llm_session`` and ``llm_operation`` around it. Names of today's conventions and of earlier ones are
    read, tool and MCP calls too. What a span does not hold, because its instrumentation was told to keep no content,
    cannot be stored; what is not sampled is not seen.

    The same object takes events that are logged: add it to the logger provider, too, for messages as earlier
    conventions have them and for evaluations.

    Args:
        logger: Where the operations are logged: a logger, an adapter, or a logger's name.

        fields: Fields of every record, such as ``user_id``; they win over what a span tells.

    Raises:
        TypeError: If a field is unknown.

    Example:
        >>> tracer_provider.add_span_processor(SQLLogSpanProcessor(log))
    """

    def __init__(self, logger: AnyLogger, **fields: Any) -> None:
        llm_operation(logger, **fields)
        self._logger = logger
        self._fields = fields
        self._lock = threading.RLock()
        self._spans: OrderedDict[_Key, _Span] = OrderedDict()

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """Note what surrounds the span."""
        with self._lock:
            parent = None if span.parent is None else self._spans.get((span.parent.trace_id, span.parent.span_id))
            self._spans[_key(span)] = _Span(span, parent)
            if len(self._spans) > _MOST_SPANS:
                self._spans.popitem(last=False)

    def on_end(self, span: Any) -> None:
        """Log the operation that the span was."""
        with self._lock:
            known = self._spans.get(_key(span)) or _Span(span, None)
            known.span = span
            operation = self._operation_of(known)
            known.span = None
            events = [*((event.name, event.attributes or {}) for event in span.events), *known.events]
            known.events = []
        if operation is not None:
            operation.end(**{**fields_of(span, events), **self._fields})

    def on_emit(self, log_record: Any) -> None:
        """Take an event that was logged in a span; an evaluation of one that has ended is an operation of its own."""
        record = log_record.log_record
        attributes = dict(record.attributes or {})
        name = record.event_name or attributes.pop("event.name", None)
        if not isinstance(name, str) or not name.startswith("gen_ai."):
            return
        body = record.body if isinstance(record.body, Mapping) else {}
        with self._lock:
            known = self._spans.get((record.trace_id or 0, record.span_id or 0))
            is_open = known is not None and known.span is not None
            if known is not None and is_open and len(known.events) < _MOST_EVENTS:
                known.events.append((name, {**attributes, **body}))
        if name == EVALUATION and not is_open:
            self._log_evaluation({**attributes, **body}, known)

    def shutdown(self) -> None:
        """Nothing is held back: a span that ends is logged at once, and the handler writes it."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Return that nothing waits here; what waits for the database, ``handler.flush()`` waits for."""
        return True

    def _operation_of(self, known: _Span) -> OpenOperation | None:
        """Return the operation of a span, begun now if it is the first time that somebody asks; None if it is none."""
        if known.operation is None and known.span is not None and is_about_a_model(known.span.attributes or {}):
            known.operation = OpenOperation(self._logger, self._fields, around=self._scopes_around(known))
        return known.operation

    def _scopes_around(self, known: _Span) -> Scopes:
        above = known.parent
        while above is not None:
            operation = self._operation_of(above)
            if operation is not None:
                # An llm_operation that was opened inside of the span above is nearer than that span.
                return operation.scopes if known.scopes == above.scopes else known.scopes
            above = above.parent
        return known.scopes

    def _log_evaluation(self, told: dict[str, Any], known: _Span | None) -> None:
        around = known.operation if known is not None else None
        operation = OpenOperation(self._logger, {"operation_type": "evaluation", **self._fields}, around=around)
        operation.end(extras={"evaluations": [told]}, latency_ms=0)


def _key(span: Any) -> _Key:
    context = span.get_span_context()
    return context.trace_id, context.span_id
