"""
A function of an SDK's, replaced on one object or on its class, so that each of its calls is an operation.

The SDK's own function does the work: what it returns and raises is what the application gets.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from aicore_sqllog.capture.operation_record import AnyLogger
from aicore_sqllog.operation import llm_operation

__all__ = ["Describe", "Target", "hook", "is_hooked", "replace", "unhook"]

Describe = Callable[..., Mapping[str, Any] | None]
"""Is given the owner and the arguments of a call; returns the fields that they tell, or None: no call of a model."""

_HOOK = "_aicore_sqllog_hook"


class Target:
    """Where the calls are logged, and with which fields."""

    def __init__(self, logger: AnyLogger, fields: Mapping[str, Any]) -> None:
        llm_operation(logger, **fields)  # refuses a field that there is none of
        self.logger = logger
        self.fields = fields
        self.is_on = True
        """Turned off where something of the application's holds the hook, so that it cannot be taken away."""

    def operation(self, described: Mapping[str, Any]) -> llm_operation:
        """Return an operation with what a call says, over which go the fields that its owner gave."""
        return llm_operation(self.logger, **{**described, **self.fields})


def hook(owner: Any, name: str, describe: Describe, target: Target) -> None:
    """Replace the function *name* of the object, or of the class, *owner*; a hook that is there already goes."""
    unhook(owner, name)
    original = getattr(owner, name)
    of_class = isinstance(owner, type)

    def call(*args: Any, **kwargs: Any) -> Any:
        """Do what the original does, as an operation."""
        if not target.is_on or (of_class and is_hooked(args[0], name)):
            return original(*args, **kwargs)
        described = _described(describe, args if of_class else (owner, *args), kwargs)
        if described is None:
            return original(*args, **kwargs)
        return target.operation(described)(_plain(original))(*args, **kwargs)

    replace(owner, name, _like(original, call), target)


def replace(owner: Any, name: str, function: Callable[..., Any], target: Target) -> None:
    """Put *function* in the place of *owner*'s own, until :func:`unhook`."""
    setattr(function, _HOOK, (target, vars(owner).get(name)))
    setattr(owner, name, function)


def unhook(owner: Any, name: str) -> None:
    """Put back what :func:`hook` has replaced; where others have replaced it since, what is left does nothing."""
    found = vars(owner).get(name)
    target, before = getattr(found, _HOOK, (None, None))
    if target is None:
        return
    target.is_on = False
    if before is None:
        delattr(owner, name)
    else:
        setattr(owner, name, before)


def is_hooked(owner: Any, name: str) -> bool:
    """Whether *owner* itself, and not its class, has a hook in the place of *name*."""
    return hasattr(getattr(owner, "__dict__", {}).get(name), _HOOK)


def _described(describe: Describe, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Mapping[str, Any] | None:
    try:
        return describe(*args, **kwargs)
    except Exception as exc:  # an SDK of another make: its call goes on, and its answer tells what it can
        return {"extras": {"request_fault": f"{type(exc).__name__} while reading the request"}}


def _plain(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return *original*, for a generator as a function that returns one: it is a stream as any other."""
    if not inspect.isgeneratorfunction(original):
        return original
    return lambda *args, **kwargs: original(*args, **kwargs)


def _like(original: Callable[..., Any], call: Callable[..., Any]) -> Callable[..., Any]:
    """Return *call* as a function of the kind of *original*: others ask for it, as ``iscoroutinefunction`` does."""
    if not inspect.iscoroutinefunction(original):
        return functools.wraps(original)(call)

    async def call_later(*args: Any, **kwargs: Any) -> Any:
        return await call(*args, **kwargs)

    return functools.wraps(original)(call_later)
