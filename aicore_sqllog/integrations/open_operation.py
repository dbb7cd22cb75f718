"""
An operation that a framework begins by one event and ends by another, perhaps in another thread or task.
"""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

from aicore_sqllog.capture.context import Scopes, current_scopes, inside, scope_of
from aicore_sqllog.capture.operation_record import AnyLogger
from aicore_sqllog.operation import OperationScope, llm_operation

__all__ = ["OpenOperation", "OpenOperations"]

_MOST_OPEN = 10_000
"""So many may be open at once; of more, the oldest was forgotten by its framework, and is ended."""


class OpenOperation:
    """
    An operation between its two events.

    It stands in the session and the operation that surrounded its beginning, or in the operation *around* it, and is
    surrounding to nobody but those that are begun with it as *around*.
    """

    def __init__(
        self, logger: AnyLogger, fields: dict[str, Any], *, around: "OpenOperation | Scopes | None" = None
    ) -> None:
        if around is None:
            outer = current_scopes()
        else:
            outer = around.scopes if isinstance(around, OpenOperation) else around
        with inside(outer):
            self._block = llm_operation(logger, **{name: item for name, item in fields.items() if item is not None})
            self.operation: OperationScope = self._block.__enter__()
            scope = scope_of(self.operation)
            self.scopes: Scopes = outer if scope is None else (*outer, scope)

    def end(self, error: BaseException | None = None, **fields: Any) -> None:
        """Log its record, with *fields* that are known now."""
        if fields := {name: item for name, item in fields.items() if item is not None}:
            self.operation.set(**fields)
        with inside(self.scopes):
            self._block.__exit__(None if error is None else type(error), error, None)


class OpenOperations:
    """The operations that are open, each under the key that its framework gives to both events."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: OrderedDict[Hashable, OpenOperation] = OrderedDict()

    def add(self, key: Hashable, operation: OpenOperation) -> None:
        """Remember *operation* until :meth:`take`."""
        with self._lock:
            self._open[key] = operation
            forgotten = self._open.popitem(last=False)[1] if len(self._open) > _MOST_OPEN else None
        if forgotten is not None:
            forgotten.end(status="cancelled", finish_reason="abandoned")

    def get(self, key: Hashable) -> OpenOperation | None:
        """Return the open operation under *key*, or None."""
        with self._lock:
            return self._open.get(key)

    def take(self, key: Hashable) -> OpenOperation | None:
        """Return the open operation under *key*, which its caller is about to end; None the second time."""
        with self._lock:
            return self._open.pop(key, None)
