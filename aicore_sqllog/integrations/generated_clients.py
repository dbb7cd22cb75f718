"""
Clients as Stainless generates them: those of openai and anthropic, and of others that are built alike.

All that they ask goes through their ``request``: create, parse, the helpers for streams, raw and beta calls; and
inside it they try again.
"""

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from aicore_sqllog.integrations.hooks import Target, hook, is_hooked, replace, unhook
from aicore_sqllog.responses.providers import provider_of_host

__all__ = ["is_generated_client", "release", "take", "take_classes"]

_CALLS: Mapping[str, str] = {
    "chat/completions": "chat",
    "responses": "chat",
    "responses/compact": "chat",
    "v1/messages": "chat",
    "completions": "text_completion",
    "v1/complete": "text_completion",
    "embeddings": "embeddings",
    "images/generations": "image_generation",
    "images/edits": "image_generation",
    "images/variations": "image_generation",
    "audio/speech": "speech",
    "audio/transcriptions": "transcription",
    "audio/translations": "transcription",
    "moderations": "moderation",
}
"""How the paths end where a model is called, and what is done there. Files, batches and the like are none."""

_SHAPE = ("request", "post", "copy", "with_options", "base_url")
_COPIES = ("copy", "with_options")
_REQUEST = "request"


def is_generated_client(client: object) -> bool:
    """Whether *client* can do what clients of this make can."""
    return not isinstance(client, type) and all(hasattr(type(client), name) for name in _SHAPE)


def take(client: Any, target: Target) -> None:
    """Let the calls of *client*, and of the copies that are made of it, be operations."""
    hook(client, _REQUEST, _describe, target)
    for name in _COPIES:
        unhook(client, name)
        replace(client, name, _copying(getattr(client, name), target), target)


def take_classes(module: Any, target: Target | None) -> None:
    """Let the calls of every client of the SDK *module* be operations; with None no longer."""
    for owner in dict.fromkeys(_definers(module)):
        if target is None:
            unhook(owner, _REQUEST)
        else:
            hook(owner, _REQUEST, _describe, target)


def release(client: Any) -> None:
    """Undo :func:`take`."""
    for name in (_REQUEST, *_COPIES):
        unhook(client, name)


def _definers(module: Any) -> Iterator[type]:
    """Yield the classes on which the SDK defines ``request``: each once for the clients of every cloud."""
    for kind in list(vars(module).values()):
        if isinstance(kind, type) and all(hasattr(kind, name) for name in _SHAPE):
            yield next(base for base in kind.__mro__ if _REQUEST in vars(base))


def _copying(copy: Any, target: Target) -> Any:
    @functools.wraps(copy)
    def copied(*args: Any, **kwargs: Any) -> Any:
        client = copy(*args, **kwargs)
        if target.is_on and not is_hooked(client, _REQUEST):
            take(client, Target(target.logger, target.fields))
        return client

    return copied


def _describe(client: Any, cast_to: object, options: Any, **_: object) -> dict[str, Any] | None:
    path = options.url.partition("?")[0].strip("/")
    kind = next((kind for end, kind in _CALLS.items() if path == end or path.endswith(f"/{end}")), None)
    if kind is None or options.method.lower() != "post":
        return None
    asked = options.json_data if isinstance(options.json_data, Mapping) else {}
    request = {
        name: value for name, value in {**asked, **(options.extra_json or {})}.items() if not _is_left_out(value)
    }
    provider = provider_of_host(getattr(client.base_url, "host", None))
    found = {"operation_type": kind, "provider": provider, "model": request.get("model"), "completion_args": request}
    return {name: value for name, value in found.items() if value is not None}


def _is_left_out(value: object) -> bool:
    """Whether *value* is the SDK's sign for what was not given, which is no value of JSON's and counts as false."""
    return type(value).__module__ != "builtins" and not value
