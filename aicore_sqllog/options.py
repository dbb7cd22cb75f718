"""
The handler's options, checked: whatever cannot work is refused by name, with what is allowed.

Values may come from JSON, YAML or INI files, so a number may be given as text.
"""

import importlib
import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast, get_args

from aicore_sqllog.batching.limits import Limits, Overflow
from aicore_sqllog.errors import ConfigurationError
from aicore_sqllog.process.notices import Tell, tell_nobody, tell_on_stderr

__all__ = [
    "read_callable",
    "read_choice",
    "read_flag",
    "read_limits",
    "read_mapping",
    "read_name",
    "read_notices",
    "read_redactors",
    "read_seconds",
]


def read_limits(
    *, batch_size: object, flush_interval: object, queue_size: object, queue_bytes: object, overflow: object
) -> Limits:
    """Return the limits of the worker."""
    return Limits(
        batch_size=_read_count("batch_size", batch_size),
        flush_interval=read_seconds("flush_interval", flush_interval),
        queue_size=_read_count("queue_size", queue_size),
        queue_bytes=_read_count("queue_bytes", queue_bytes),
        overflow=read_choice("overflow", overflow, get_args(Overflow)),
    )


def read_choice(option: str, value: object, allowed: Sequence[str]) -> Any:
    """Return *value*, which is one of *allowed*."""
    if value not in allowed:
        raise _refusal(option, value, " or ".join(map(repr, allowed)))
    return value


def read_seconds(option: str, value: object) -> float:
    """Return a time in seconds."""
    seconds = _number(value)
    if seconds is None or not 0 <= seconds <= 1e9:
        raise _refusal(option, value, "a number of seconds from 0 on")
    return seconds


def read_name(option: str, value: object) -> str | None:
    """Return a text, or None; a number, which a file may hold where a text is meant, is taken as its digits."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if type(value).__name__ == "UUID":
        return str(value)
    raise _refusal(option, value, "a text")


def read_mapping(option: str, value: object) -> Mapping[str, Any] | None:
    """Return a mapping with text keys, or None."""
    if value is None or (isinstance(value, Mapping) and all(isinstance(key, str) for key in value)):
        return cast("Mapping[str, Any] | None", value)
    # It may hold a password anywhere, as text of a variable or of a file too: its type is shown, and no more.
    shown = "a mapping of other keys" if isinstance(value, Mapping) else type(value).__name__
    raise ConfigurationError(f"{option}=<{shown}> cannot work. Allowed: a mapping of names to values.")


def read_callable(option: str, value: object) -> Callable[..., Any] | None:
    """Return a callable, given as such or as ``"package.module:name"``, or None."""
    if value is None:
        return None
    if isinstance(value, str):
        module, _, name = value.partition(":")
        try:
            value = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, ValueError) as exc:
            raise _refusal(option, value, f"a callable or its 'package.module:name' ({exc})") from None
    if not callable(value):
        raise _refusal(option, value, "a callable or its 'package.module:name'")
    return cast("Callable[..., Any]", value)


def read_notices(option: str, value: object) -> Tell:
    """Return where notices are said: on stderr for None, nowhere for "off", or by the function that *value* names."""
    if value is None:
        return tell_on_stderr
    if value == "off":
        return tell_nobody
    return cast("Tell", read_callable(option, value))


def read_flag(option: str, value: object) -> bool:
    """Return a truth value; a file may hold its word."""
    found = _FLAGS.get(value.strip().lower()) if isinstance(value, str) else value
    if isinstance(found, bool):
        return found
    raise _refusal(option, value, "True or False")


def read_redactors(option: str, value: object) -> tuple[Callable[[str], object], ...]:
    """Return the functions that *value* names: none for None, one, or those of a list in its order."""
    items = value if isinstance(value, list | tuple) else [] if value is None else [value]
    return tuple(_read_redactor(option, item) for item in items)


def _read_redactor(option: str, value: object) -> Callable[[str], object]:
    made = _CALL.fullmatch(value) if isinstance(value, str) else None
    found = read_callable(option, made.group(1) if made else value)
    if found is None or inspect.iscoroutinefunction(found):
        raise _refusal(option, value, "a function of a text, its 'package.module:name', or a list of them")
    return cast("Callable[[str], object]", found(int(made.group(2)))) if made else found


_FLAGS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_CALL = re.compile(r"([\w.]+:\w+)\((\d{1,9})\)")
"""A function that makes the redactor: ``aicore_sqllog.redactors:truncate(2000)``."""


def _read_count(option: str, value: object) -> int:
    number = _number(value)
    if number is None or number != int(number) or number < 1:
        raise _refusal(option, value, "a whole number from 1 on")
    return int(number)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _refusal(option: str, value: object, allowed: str) -> ConfigurationError:
    return ConfigurationError(f"{option}={value!r} cannot work. Allowed: {allowed}.")
