"""
LangChain's callbacks: each run of a model, a chain, a tool or a retriever is an operation, under the run around it.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler

from aicore_sqllog.capture.operation_record import AnyLogger
from aicore_sqllog.integrations.open_operation import OpenOperation, OpenOperations
from aicore_sqllog.operation import llm_operation
from aicore_sqllog.responses.plain import to_plain

__all__ = ["SQLLogCallbackHandler"]

_ROLES: Mapping[str, str] = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant", "function": "tool"}
_PROVIDERS: Mapping[str, str] = {
    "azure": "azure.ai.openai",
    "google_genai": "gcp.gemini",
    "google_vertexai": "gcp.vertex_ai",
    "bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "amazon_bedrock": "aws.bedrock",
    "mistralai": "mistral_ai",
    "xai": "x_ai",
}
"""OpenTelemetry's names, where LangChain has others."""

_OF_THE_MESSAGE = frozenset({"type", "content", "additional_kwargs", "response_metadata", "usage_metadata", "example"})
_EMPTY: tuple[object, ...] = (None, [], {}, "")
_HIDDEN = "langsmith:hidden"
"""LangChain's mark for runs that are its own plumbing."""


class SQLLogCallbackHandler(BaseCallbackHandler):
    """
    Every run of LangChain that gets these callbacks, as an operation.

    A model's run is a call with its messages, answer, tokens, tool calls and first token; a tool's is ``execute_tool``,
    a retriever's ``retrieval``, a chain's (a graph's node, too) ``chain``. Each stands under the run around it, the
    outermost under the ``llm_session`` and ``llm_operation`` around the call. What a chain was given and returned is
    kept of the outermost only: the runs inside hold it again. LangChain's own hidden runs have no row.

    Args:
        logger: Where the runs are logged: a logger, an adapter, or a logger's name.

        fields: Fields of every record, such as ``user_id``; they win over what a run tells.

    Raises:
        TypeError: If a field is unknown.

    Example:
        >>> chain.invoke(question, config={"callbacks": [SQLLogCallbackHandler(log)]})
    """

    run_inline = True  # in the caller's context and order, also for asynchronous runs

    def __init__(self, logger: AnyLogger, **fields: Any) -> None:
        super().__init__()
        llm_operation(logger, **fields)
        self._logger = logger
        self._fields = fields
        self._runs = OpenOperations()

    def on_chat_model_start(
        self, serialized: Any, messages: Sequence[Any], *, run_id: UUID, parent_run_id: UUID | None = None, **told: Any
    ) -> None:
        """Begin a call of a chat model."""
        asked = [_message(message) for batch in messages for message in batch]
        self._begin(run_id, parent_run_id, {"operation_type": "chat", "messages": asked, **_model(told)})

    def on_llm_start(
        self, serialized: Any, prompts: list[str], *, run_id: UUID, parent_run_id: UUID | None = None, **told: Any
    ) -> None:
        """Begin a call of a model that completes texts."""
        asked = [{"role": "user", "content": prompt} for prompt in prompts]
        self._begin(run_id, parent_run_id, {"operation_type": "text_completion", "messages": asked, **_model(told)})

    def on_llm_new_token(self, token: Any, *, run_id: UUID, **_: Any) -> None:
        """Note the first token."""
        run = self._runs.get(run_id)
        if run is not None and token:
            run.operation.first_token()

    def on_llm_end(self, response: Any, *, run_id: UUID, **_: Any) -> None:
        """End a call of a model with its answers."""
        run = self._runs.take(run_id)
        if run is None:
            return
        told = getattr(response, "llm_output", None) or {}
        answers = [generation for batch in response.generations for generation in batch[:1]]
        messages = [generation.message for generation in answers if hasattr(generation, "message")]
        for message in messages:
            run.operation.record(message)
        texts = [generation.text for generation in answers]
        said: dict[str, Any] = {} if messages else {"response": texts[0] if len(texts) == 1 else texts or None}
        usage = told.get("token_usage") or {}
        if not messages:
            said |= {"input_tokens": usage.get("prompt_tokens"), "output_tokens": usage.get("completion_tokens")}
            said |= {"response_model": told.get("model_name"), "finish_reason": _finish_reason(answers)}
        run.end(**said)

    def on_chain_start(
        self,
        serialized: Any,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **told: Any,
    ) -> None:
        """Begin a chain; one of LangChain's own stands for the run around it."""
        around = None if parent_run_id is None else self._runs.get(parent_run_id)
        if around is not None and _HIDDEN in (tags or ()):
            self._runs.add(run_id, _Hidden(around))
            return
        fields: dict[str, Any] = {"operation_type": "chain", **_named(serialized, told)}
        if around is None:
            fields["messages"] = [{"role": "user", "content": to_plain(inputs)}]
        self._begin(run_id, parent_run_id, fields)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **_: Any) -> None:
        """End a chain."""
        is_inner = parent_run_id is not None and self._runs.get(parent_run_id) is not None
        self._end(run_id, response=None if is_inner else {"role": "assistant", "content": to_plain(outputs)})

    def on_tool_start(
        self,
        serialized: Any,
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        inputs: dict[str, Any] | None = None,
        **told: Any,
    ) -> None:
        """Begin a tool's run."""
        fields = {"operation_type": "execute_tool", "messages": [{"role": "user", "content": input_str}]}
        self._begin(run_id, parent_run_id, {**fields, **_named(serialized, told)})

    def on_tool_end(self, output: Any, *, run_id: UUID, **_: Any) -> None:
        """End a tool's run."""
        plain = to_plain(output)
        content = plain.get("content") if isinstance(plain, dict) and "content" in plain else plain
        self._end(run_id, response={"role": "tool", "content": content})

    def on_retriever_start(
        self, serialized: Any, query: str, *, run_id: UUID, parent_run_id: UUID | None = None, **told: Any
    ) -> None:
        """Begin a search."""
        fields = {"operation_type": "retrieval", "messages": [{"role": "user", "content": query}]}
        self._begin(run_id, parent_run_id, {**fields, **_named(serialized, told)})

    def on_retriever_end(self, documents: Sequence[Any], *, run_id: UUID, **_: Any) -> None:
        """End a search with what was found."""
        self._end(run_id, response={"role": "tool", "content": to_plain(list(documents))})

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """End a run that failed."""
        run = self._runs.take(run_id)
        if run is not None:
            run.end(error)

    on_chain_error = on_tool_error = on_retriever_error = on_llm_error

    def _begin(self, run_id: UUID, parent_run_id: UUID | None, fields: dict[str, Any]) -> None:
        around = None if parent_run_id is None else self._runs.get(parent_run_id)
        self._runs.add(run_id, OpenOperation(self._logger, {**fields, **self._fields}, around=around))

    def _end(self, run_id: UUID, **fields: Any) -> None:
        run = self._runs.take(run_id)
        if run is not None:
            run.end(**fields)


class _Hidden(OpenOperation):
    """A run without a row: what is inside stands under the operation around it."""

    def __init__(self, around: OpenOperation) -> None:
        self.operation = around.operation
        self.scopes = around.scopes

    def end(self, error: BaseException | None = None, **fields: Any) -> None:
        """Leave the operation around open: it is not this run's to end."""


def _named(serialized: Any, told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the run's name, and what its caller said of it."""
    name = told.get("name") or (serialized.get("name") if isinstance(serialized, dict) else None)
    return {"action_id": name, "extras": _about(told)}


def _about(told: Mapping[str, Any]) -> dict[str, Any] | None:
    held = {"metadata": told.get("metadata"), "tags": told.get("tags")}
    return {"langchain": to_plain({name: item for name, item in held.items() if item})} if any(held.values()) else None


def _model(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return who was asked, and with which settings, as LangChain's own tracing names them."""
    metadata, asked = told.get("metadata") or {}, told.get("invocation_params") or {}
    provider: Any = metadata.get("ls_provider")
    return {
        "provider": _PROVIDERS.get(provider, provider),
        "model": metadata.get("ls_model_name") or asked.get("model") or asked.get("model_name"),
        "completion_args": to_plain({name: item for name, item in asked.items() if name != "_type"}) or None,
        "extras": _about({**told, "metadata": {k: v for k, v in metadata.items() if not k.startswith("ls_")}}),
    }


def _message(message: Any) -> dict[str, Any]:
    """Return a message of LangChain's as one of ours."""
    plain = to_plain(message)
    if not isinstance(plain, dict):
        return {"role": "user", "content": plain}
    kind: Any = plain.get("type")
    more = {name: item for name, item in plain.items() if name not in _OF_THE_MESSAGE and item not in _EMPTY}
    return {"role": plain.get("role") or _ROLES.get(kind, kind), "content": plain.get("content"), **more}


def _finish_reason(generations: Sequence[Any]) -> str | None:
    reasons = [(getattr(generation, "generation_info", None) or {}).get("finish_reason") for generation in generations]
    return next((reason for reason in reasons if reason), None)
