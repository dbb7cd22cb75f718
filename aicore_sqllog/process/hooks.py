"""
The only place that registers with the interpreter: for forks, and for the end of the process.

What is called, and in which order, does not depend on which of our modules was imported first:

==========================================  =========================================================================
before a fork, on the thread that forks     fork guards are closed: no thread of ours imports, connects or uses SQLite
after it, in the parent                     fork guards are opened
after it, in the child, by :class:`Child`   ``GUARDS``: opened, or made anew where a thread of the parent is inside
..                                          ``STATE``: locks and random numbers that must not be the parent's
..                                          ``CONNECTIONS``: those of readers are left to the parent
..                                          ``HANDLERS``: each begins anew, with what was restored above
at the end, by :class:`End`                 ``OPERATIONS``: what is open is logged
..                                          ``HANDLERS``: what waits is written
..                                          ``CONNECTIONS``: those of readers are closed
==========================================  =========================================================================

The end is ``atexit``, before ``logging.shutdown``. A process that multiprocessing forked ends by ``os._exit``, past
``atexit``; there the end is one of multiprocessing's finalizers. Both may come: what is called at the end may be
called again. Within one step the order means nothing. A bound method is held weakly: it goes with its object.
"""

import atexit
import enum
import logging  # noqa: F401  # its shutdown must be registered first, because what is registered last is called first
import os
import sys
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from operator import itemgetter
from types import MethodType
from typing import Any

__all__ = ["Child", "End", "at_end", "before_fork", "in_child", "in_parent"]

Call = Callable[[], object]


class Child(enum.IntEnum):
    """The steps in a forked child, first to last."""

    GUARDS = enum.auto()
    STATE = enum.auto()
    CONNECTIONS = enum.auto()
    HANDLERS = enum.auto()


class End(enum.IntEnum):
    """The steps at the end of the process, first to last."""

    OPERATIONS = enum.auto()
    HANDLERS = enum.auto()
    CONNECTIONS = enum.auto()


def before_fork(call: Call) -> None:
    """Have *call* called on the thread that forks, before it does."""
    _BEFORE.add(0, call)


def in_parent(call: Call) -> None:
    """Have *call* called on the thread that forked, in the parent."""
    _PARENT.add(0, call)


def in_child(step: Child, call: Call) -> None:
    """Have *call* called in each forked child, at *step*."""
    _CHILD.add(step, call)


def at_end(step: End, call: Call) -> None:
    """Have *call* called at the end of the process, at *step*."""
    _END.add(step, call)


class _Calls:
    """What is called at one moment, by step."""

    def __init__(self) -> None:
        self._functions: list[tuple[int, Call]] = []
        # Not weakref.WeakMethod, whose callbacks fail where an object goes while the interpreter ends.
        self._methods: dict[int, weakref.WeakKeyDictionary[object, Callable[[Any], object]]] = {}

    def add(self, step: int, call: Call) -> None:
        if isinstance(call, MethodType):
            self._methods.setdefault(step, weakref.WeakKeyDictionary())[call.__self__] = call.__func__
        else:
            self._functions.append((step, call))

    def __call__(self) -> None:
        """Call all, whatever one of them raises; the interpreter reports the first exception."""
        failures = [exc for call in self._living() if (exc := _failure_of(call)) is not None]
        if failures:
            raise failures[0]

    def _living(self) -> list[Call]:
        living = list(self._functions)
        for step, methods in list(self._methods.items()):
            living += [(step, partial(function, each)) for each, function in _items(methods)]
        return [call for _, call in sorted(living, key=itemgetter(0))]


def _items(methods: Mapping[object, Callable[[Any], object]]) -> list[tuple[object, Callable[[Any], object]]]:
    for _ in range(100):
        try:
            return list(methods.items())
        except RuntimeError:  # another thread adds one just now
            continue
    return []


def _failure_of(call: Call) -> Exception | None:
    try:
        call()
    except Exception as exc:
        return exc
    return None


_BEFORE, _PARENT, _CHILD, _END = _Calls(), _Calls(), _Calls(), _Calls()
_LAST = -1000
"""After every other finalizer of multiprocessing."""

_is_known_to_multiprocessing = False
"""Whether its forks are told to us; a child inherits that."""


def _begin_child() -> None:
    _CHILD()
    _register_with_multiprocessing()


def _register_with_multiprocessing() -> None:
    """
    Have the end of the processes that multiprocessing forks, as its finalizer.

    It forgets all finalizers where such a process starts, and then calls what was registered for that. So one must
    be made there; and here too, where this is such a process, as in a pool that is the first to import us.
    """
    global _is_known_to_multiprocessing
    util: Any = sys.modules.get("multiprocessing.util")
    if not hasattr(util, "register_after_fork"):  # not imported, or not to its end: so this is no process of its kind
        return
    if not _is_known_to_multiprocessing:
        util.register_after_fork(_END, lambda end: util.Finalize(None, end, exitpriority=_LAST))
        _is_known_to_multiprocessing = True
    if sys.modules["multiprocessing.process"].parent_process() is not None:
        util.Finalize(None, _END, exitpriority=_LAST)


atexit.register(_END)
_register_with_multiprocessing()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_BEFORE, after_in_parent=_PARENT, after_in_child=_begin_child)
