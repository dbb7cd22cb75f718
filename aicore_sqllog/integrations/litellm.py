"""
LiteLLM's callback: each call that LiteLLM makes, in a program, a router or its proxy, is an operation.
"""

import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import Any

from litellm.integrations.custom_logger import CustomLogger

from aicore_sqllog.capture.context import Scopes, current_scopes
from aicore_sqllog.capture.operation_record import AnyLogger
from aicore_sqllog.integrations.open_operation import OpenOperation
from aicore_sqllog.operation import llm_operation

__all__ = ["SQLLogCallback"]

_PROVIDERS: Mapping[str, str] = {
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "gemini": "gcp.gemini",
    "vertex_ai": "gcp.vertex_ai",
    "bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "mistral": "mistral_ai",
    "xai": "x_ai",
    "together_ai": "together",
    "ollama_chat": "ollama",
}
"""OpenTelemetry's names, where LiteLLM has others."""

_TYPES: Mapping[str, str] = {
    "completion": "chat",
    "responses": "chat",
    "anthropic_messages": "chat",
    "text_completion": "text_completion",
    "embedding": "embeddings",
    "image_generation": "image_generation",
    "transcription": "transcription",
    "speech": "speech",
    "rerank": "rerank",
    "moderation": "moderation",
}
_MOST_KNOWN = 10_000
_OF_THE_PROXY = {"user_id": "user_api_key_user_id", "workspace": "user_api_key_team_alias"}
_KEPT = ("litellm_call_id", "trace_id", "model_group", "cache_hit", "request_tags", "end_user")


class SQLLogCallback(CustomLogger):
    """
    Every call of LiteLLM, as an operation, when it has succeeded or failed; a stream when it is over.

    The cost is LiteLLM's own. A call stands under the ``llm_session`` and ``llm_operation`` around it. Each attempt
    of a router is a call. In the proxy, the key's user and team are ``user_id`` and ``workspace``. A wish of
    LiteLLM's that no messages are logged is heeded.

    Args:
        logger: Where the calls are logged: a logger, an adapter, or a logger's name.

        fields: Fields of every record, such as ``workspace``; they win over what a call tells.

    Raises:
        TypeError: If a field is unknown.

    Example:
        >>> litellm.callbacks = [SQLLogCallback(log)]
    """

    def __init__(self, logger: AnyLogger, **fields: Any) -> None:
        super().__init__()
        llm_operation(logger, **fields)
        self._logger = logger
        self._fields = fields
        self._lock = threading.Lock()
        self._begun: OrderedDict[Hashable, Scopes] = OrderedDict()
        self._ended: OrderedDict[Hashable, None] = OrderedDict()

    def log_pre_api_call(self, model: Any, messages: Any, kwargs: Any) -> None:
        """Note what surrounds the call, in the thread or task that makes it."""
        with self._lock:
            self._begun[kwargs.get("litellm_call_id")] = current_scopes()
            _shorten(self._begun)

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Log a call that has succeeded."""
        self._log(kwargs, response_obj, start_time, None)

    def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Log a call that has failed."""
        self._log(kwargs, None, start_time, kwargs.get("exception"))

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Log an asynchronous call that has succeeded."""
        self._log(kwargs, response_obj, start_time, None)

    async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Log an asynchronous call that has failed."""
        self._log(kwargs, None, start_time, kwargs.get("exception"))

    def _log(self, kwargs: Any, response: Any, start_time: Any, error: Any) -> None:
        call_id = kwargs.get("litellm_call_id")
        with self._lock:
            # LiteLLM tells of an asynchronous call twice, here and there.
            if (call_id, start_time) in self._ended:
                return
            self._ended[call_id, start_time] = None
            _shorten(self._ended)
            scopes = self._begun.get(call_id)
        told = kwargs.get("standard_logging_object") or {}
        fields = {**_fields(kwargs, told), **self._fields}
        operation = OpenOperation(self._logger, fields, around=current_scopes() if scopes is None else scopes)
        if response is not None:
            operation.operation.record(response)
        operation.end(error if isinstance(error, BaseException) else None, **_times(told), **_failure(told, error))


def _fields(kwargs: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    call_type = str(told.get("call_type") or kwargs.get("call_type") or "completion").removeprefix("a")
    provider: Any = told.get("custom_llm_provider") or kwargs.get("custom_llm_provider")
    metadata = told.get("metadata") or {}
    settings = told.get("model_parameters") or {}
    fields = {
        "operation_type": _TYPES.get(call_type, call_type),
        "provider": _PROVIDERS.get(provider, provider),
        "model": told.get("model") or kwargs.get("model"),
        "messages": told.get("messages") or kwargs.get("messages"),
        "completion_args": dict(settings) or None,
        **{name: metadata.get(key) for name, key in _OF_THE_PROXY.items()},
        "session_id": (kwargs.get("litellm_params") or {}).get("litellm_session_id"),
        "extras": {"litellm": {name: told[name] for name in _KEPT if told.get(name)}},
    }
    return {name: item for name, item in fields.items() if item is not None}


def _times(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return LiteLLM's times, in milliseconds: the callback comes later, in another thread."""
    start, end, first = (told.get(name) for name in ("startTime", "endTime", "completionStartTime"))
    if not start or not end:
        return {}
    times: dict[str, Any] = {"latency_ms": (end - start) * 1000, "timestamp": end}
    if told.get("stream") and first and start <= first <= end:
        times["time_to_first_token_ms"] = (first - start) * 1000
    return times


def _failure(told: Mapping[str, Any], error: Any) -> dict[str, Any]:
    if told.get("status") != "failure" or isinstance(error, BaseException):
        return {}
    about = told.get("error_information") or {}
    return {"status": "error", "error_type": about.get("error_class"), "error_message": told.get("error_str")}


def _shorten(known: "OrderedDict[Hashable, Any]") -> None:
    if len(known) > _MOST_KNOWN:
        known.popitem(last=False)
