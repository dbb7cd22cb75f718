"""
instrument: one line, and each call of an SDK's client is an operation.
"""

import importlib
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, TypeVar

from aicore_sqllog.capture.operation_record import AnyLogger
from aicore_sqllog.integrations import generated_clients, google_client
from aicore_sqllog.integrations.hooks import Target

__all__ = ["instrument", "uninstrument"]

C = TypeVar("C")

_SDKS: Mapping[str, tuple[str, Callable[[Any, Target | None], None]]] = {
    "openai": ("openai", generated_clients.take_classes),
    "anthropic": ("anthropic", generated_clients.take_classes),
    "google-genai": ("google.genai", google_client.take_classes),
}
"""The SDKs whose clients can all be taken: where each is imported from, and how."""

_KINDS: tuple[tuple[Callable[[object], bool], ModuleType], ...] = (
    (generated_clients.is_generated_client, generated_clients),
    (google_client.is_google_client, google_client),
)


def instrument(client: C, logger: AnyLogger, **fields: Any) -> C:
    """
    Return *client*, each of whose calls of a model is an operation from now on.

    A call is logged as :func:`llm_operation` would: under the session and the operation around it, with its request,
    its answer, its time and its error. Streams and their helpers, ``parse``, embeddings, images, raw and beta calls
    are calls too; one that the SDK tries again is one. What the application gets, and what is raised, stay as they
    are. Copies (``with_options``) are instrumented as well. Instrumented again, it logs as it was told last.

    Args:
        client: A client of openai, anthropic or google-genai, synchronous or not. The name of one of these SDKs
            instead stands for all of its clients, those to come and those that there are.

        logger: Where the calls are logged: a logger, an adapter, or a logger's name.

        fields: Fields of every record, such as ``user_id`` or ``extras``; they win over what a call tells.

    Raises:
        TypeError: If *client* is of another kind, or a field is unknown.

    Example:
        >>> client = instrument(OpenAI(), log)
        >>> client.chat.completions.create(model="gpt-4o-mini", messages=messages)
    """
    target = Target(logger, fields)
    if isinstance(client, str):
        _take_sdk(client, target)
    else:
        _kind_of(client).take(client, target)
    return client


def uninstrument(client: C) -> C:
    """Return *client*, or the name of an SDK, as it was before :func:`instrument`."""
    if isinstance(client, str):
        _take_sdk(client, None)
    else:
        _kind_of(client).release(client)
    return client


def _take_sdk(name: str, target: Target | None) -> None:
    if name not in _SDKS:
        raise TypeError(f"There is no SDK {name!r} that can be instrumented. There are: {', '.join(_SDKS)}.")
    module, take = _SDKS[name]
    take(importlib.import_module(module), target)


def _kind_of(client: object) -> Any:
    for is_kind, module in _KINDS:
        if is_kind(client):
            return module
    raise TypeError(
        f"A {type(client).__module__}.{type(client).__qualname__} cannot be instrumented: it is no client of "
        f"{', '.join(_SDKS)}. Put llm_operation around its calls."
    )
