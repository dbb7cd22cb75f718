"""
Clients of google-genai, synchronous and ``aio``; chats ask through the same functions.

Taken are the functions that send one request each: where the SDK calls functions of the application and asks
again, each of its requests is a call of the model.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from aicore_sqllog.integrations.hooks import Target, hook, unhook
from aicore_sqllog.responses.plain import to_plain

__all__ = ["is_google_client", "release", "take", "take_classes"]

_CALLS: Mapping[str, str] = {
    "_generate_content": "generate_content",
    "_generate_content_stream": "generate_content",
    "_embed_content": "embeddings",
    "_generate_images": "image_generation",
    "_edit_image": "image_generation",
    "_upscale_image": "image_generation",
}
"""The functions, and what is done by each."""

_ASKED = ("contents", "content", "batch_contents", "prompt")
_TRANSPORT = "http_options"
"""Of a configuration: how to ask, and with which headers, not what."""


def is_google_client(client: object) -> bool:
    """Whether *client* can do what google-genai's can."""
    models = getattr(client, "models", None)
    return hasattr(client, "aio") and hasattr(models, "generate_content") and hasattr(models, "_api_client")


def take(client: Any, target: Target) -> None:
    """Let the calls of *client* be operations."""
    for models in _models_of(client):
        _hook_all(models, target)


def take_classes(module: Any, target: Target | None) -> None:
    """Let the calls of every client be operations; with None no longer."""
    for kind in (module.models.Models, module.models.AsyncModels):
        if target is None:
            _unhook_all(kind)
        else:
            _hook_all(kind, target)


def release(client: Any) -> None:
    """Undo :func:`take`."""
    for models in _models_of(client):
        _unhook_all(models)


def _models_of(client: Any) -> Iterator[Any]:
    yield client.models
    yield client.aio.models


def _hook_all(owner: Any, target: Target) -> None:
    for name, kind in _CALLS.items():
        if hasattr(owner, name):
            hook(owner, name, _describing(kind), target)


def _unhook_all(owner: Any) -> None:
    for name in _CALLS:
        unhook(owner, name)


def _describing(kind: str) -> Any:
    def describe(models: Any, *, model: str, config: Any = None, **asked: Any) -> dict[str, Any]:
        contents = next((asked[name] for name in _ASKED if asked.get(name) is not None), None)
        request = {"model": model, "contents": _as_messages(to_plain(contents)), **_settings(config)}
        return {
            "operation_type": kind,
            "provider": "gcp.vertex_ai" if models.vertexai else "gcp.gemini",
            "model": model,
            "completion_args": request,
        }

    return describe


def _as_messages(contents: Any) -> object:
    """Return *contents* as messages: what stands outside of one is of the user's, as for the SDK."""
    if isinstance(contents, str) or contents is None:
        return contents
    messages: list[dict[str, Any]] = []
    for item in contents if isinstance(contents, list) else [contents]:
        if isinstance(item, dict) and "parts" in item:
            messages.append(item)
            continue
        part = {"text": item} if isinstance(item, str) else item
        if messages and messages[-1].keys() == {"role", "parts"} and messages[-1]["role"] == "user":
            messages[-1]["parts"].append(part)
        else:
            messages.append({"role": "user", "parts": [part]})
    return messages


def _settings(config: Any) -> dict[str, Any]:
    """Return what *config*, a mapping or the SDK's object, sets, by the SDK's names."""
    given = config if isinstance(config, Mapping) else {} if config is None else dict(config)
    held = {name: item for name, item in given.items() if item is not None and name != _TRANSPORT}
    instruction = held.pop("system_instruction", held.pop("systemInstruction", None))
    settings: dict[str, Any] = to_plain(held)
    if instruction is not None:
        plain = to_plain(instruction)
        settings["system_instruction"] = plain.get("parts", plain) if isinstance(plain, dict) else plain
    return settings
