"""
The providers' own SDKs: what they return for a recording, and what their typed attributes say of it.

They are asked over HTTP like the provider itself. What they say is read attribute by attribute, by
the documented names, and made inclusive here once more, so that no code is shared with the adapters.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from tests.support.other_sdks import OtherSdks, facts_of_reply
from tests.support.recordings import OTHER_CALLS, RECORDING_HEADER, Recording

API_KEY = "sk-of-the-tests"

Facts = dict[str, Any]
"""What an answer says, by the names of a record's fields; ``text`` and ``tools`` for what it says to the user."""


@dataclass
class Reply:
    """What an SDK returned, or raised, for a recording."""

    objects: list[Any] = field(default_factory=list)
    """One answer, or the chunks of a stream."""

    error: Exception | None = None
    facts: Facts = field(default_factory=dict)


class Sdks:
    """The SDKs, pointed at a local server; no retries, no telemetry."""

    def __init__(self, url: str) -> None:
        self._open = ExitStack()
        openai, anthropic = import_module("openai"), import_module("anthropic")
        genai = import_module("google.genai")
        options = {"api_key": API_KEY, "max_retries": 0}
        http = {"base_url": url, "retry_options": {"attempts": 1}}
        self._openai = self._open.enter_context(openai.OpenAI(base_url=url, **options))
        self._anthropic = self._open.enter_context(anthropic.Anthropic(base_url=url, **options))
        self._gemini = self._open.enter_context(genai.Client(api_key=API_KEY, http_options=http))
        self._others = OtherSdks(url)
        self._open.callback(self._others.close)
        self._vertex = self._open.enter_context(genai.Client(vertexai=True, api_key=API_KEY, http_options=http))

    def close(self) -> None:
        self._open.close()

    def ask(self, recording: Recording, *, raw: bool = False) -> Reply:
        """Return what the SDK makes of *recording*; *raw*: it must fail, and the JSON is read key by key instead."""
        if recording.call.startswith(OTHER_CALLS):
            objects, error = self._others.read_all(recording)
            return Reply(objects, error, facts_of_reply(recording, objects, error))
        reply = Reply()
        if raw:
            self._fail_to_read(recording)
            return Reply(facts=_gemini_json(recording.chunks() if recording.streamed else [recording.json]))
        try:
            self._read_all(recording, reply)
        except Exception as exc:
            if not type(exc).__module__.startswith(("openai", "anthropic", "google")):
                raise
            reply.error = exc
        read = _READERS[recording.call]
        reply.facts = {**read(reply.objects), **(_error_facts(reply.error) if reply.error else {})}
        return reply

    def ask_helper(self, recording: Recording) -> tuple[list[Any], Any] | None:
        """Return the events of the SDK's own helper for streams and its final answer; None where it cannot."""
        asked = {"model": "m", "extra_headers": {RECORDING_HEADER: recording.id}}
        messages = [{"role": "user", "content": "?"}]
        openai, anthropic = self._openai, self._anthropic
        helpers: dict[str, Callable[[], tuple[Any, str]]] = {
            "openai.chat": lambda: (openai.chat.completions.stream(messages=messages, **asked), "completion"),
            "openai.responses": lambda: (openai.responses.stream(input="?", **asked), "response"),
            "anthropic.messages": lambda: (
                anthropic.messages.stream(messages=messages, max_tokens=9, **asked),
                "message",
            ),
        }
        helper, what = helpers[recording.call]()
        try:
            with helper as stream:
                return list(stream), getattr(stream, f"get_final_{what}")()
        except Exception:  # the helpers are stricter than the SDKs' plain streams
            return None

    def ask_raw(self, recording: Recording) -> Any:
        """Return the SDK's wrapper of the HTTP response."""
        asked = {"model": "m", "extra_headers": {RECORDING_HEADER: recording.id}}
        messages = [{"role": "user", "content": "?"}]
        if recording.call == "openai.chat":
            return self._openai.chat.completions.with_raw_response.create(messages=messages, **asked)
        if recording.call == "openai.responses":
            return self._openai.responses.with_raw_response.create(input="?", **asked)
        return self._anthropic.messages.with_raw_response.create(messages=messages, max_tokens=9, **asked)

    def _fail_to_read(self, recording: Recording) -> None:
        try:
            self._read_all(recording, Reply())
        except Exception:
            return
        raise AssertionError(f"{recording.id} can be read, after all")

    def _read_all(self, recording: Recording, reply: Reply) -> None:
        answer = self._call(recording)
        reply.objects.extend(answer if recording.streamed else [answer])

    def _call(self, recording: Recording) -> Any:
        headers = {RECORDING_HEADER: recording.id}
        sdk, _, method = recording.call.partition(".")
        if sdk in ("gemini", "vertexai"):
            return self._ask_google(self._gemini if sdk == "gemini" else self._vertex, method, headers, recording)
        return self._ask_others(recording.call, {"extra_headers": headers, "model": "m"}, recording.streamed)

    def _ask_others(self, call: str, common: dict[str, Any], streamed: bool) -> Any:
        messages, stream = [{"role": "user", "content": "?"}], {"stream": streamed}
        openai, anthropic = self._openai, self._anthropic
        calls: dict[str, Callable[[], Any]] = {
            "openai.chat": lambda: openai.chat.completions.create(messages=messages, **stream, **common),
            "openai.responses": lambda: openai.responses.create(input="?", **stream, **common),
            "openai.compact": lambda: openai.responses.compact(input="?", **common),
            "openai.completions": lambda: openai.completions.create(prompt="?", **stream, **common),
            "openai.embeddings": lambda: openai.embeddings.create(input="?", **common),
            "anthropic.messages": lambda: anthropic.messages.create(
                messages=messages, max_tokens=9, **stream, **common
            ),
            "anthropic.count_tokens": lambda: anthropic.messages.count_tokens(messages=messages, **common),
        }
        return calls[call]()

    @staticmethod
    def _ask_google(client: Any, method: str, headers: dict[str, str], recording: Recording) -> Any:
        asked: dict[str, Any] = {"model": "m", "contents": "?", "config": {"http_options": {"headers": headers}}}
        if method == "embeddings":
            return client.models.embed_content(**{**asked, "model": "gemini-embedding-2"})
        if method == "count_tokens":
            return client.models.count_tokens(**asked)
        if recording.streamed:
            return client.models.generate_content_stream(**asked)
        return client.models.generate_content(**asked)


def _present(facts: Facts) -> Facts:
    return {name: value for name, value in facts.items() if value is not None}


def _sum(*counts: int | None) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _last(values: Iterator[Any]) -> Any:
    """Return the last that is not None."""
    return next((value for value in reversed(list(values)) if value is not None), None)


def _chat(objects: list[Any]) -> Facts:
    choices = [choice for o in objects for choice in (o.choices or []) if choice.index in (0, None)]
    # Some send a message and a delta: the one that is of the SDK's own types is the one that belongs there.
    both = [getattr(choice, name, None) for choice in choices for name in ("message", "delta")]
    said: list[Any] = [message for message in both if hasattr(message, "content")]
    usage = _last(getattr(o, "usage", None) for o in objects)
    return _present(
        {
            "response_model": _last(o.model or None for o in objects),
            "finish_reason": _last(choice.finish_reason or None for choice in choices),
            "text": "".join(_chat_text(message.content) for message in said) or None,
            "tools": _chat_tools(said, streamed=any(o.object.endswith("chunk") for o in objects)),
            **(_chat_usage(usage) if usage else {}),
        }
    )


def _chat_text(content: Any) -> str:
    """Return the text; Mistral sends a list of parts, which the openai SDK leaves as it is."""
    parts = content if isinstance(content, list) else []
    return "".join(part["text"] for part in parts if part["type"] == "text") if parts else content or ""


def _chat_tools(said: list[Any], *, streamed: bool) -> list[str] | None:
    """Return the tools called, in order; some providers repeat a call's name in each of its chunks."""
    calls = [call for message in said for call in (getattr(message, "tool_calls", None) or [])]
    if streamed:
        return list({call.index: call.function.name for call in calls if call.function.name}.values()) or None
    return [call.function.name for call in calls] or None


def _chat_usage(usage: Any) -> Facts:
    prompt = getattr(usage, "prompt_tokens_details", None)
    completion = getattr(usage, "completion_tokens_details", None)
    read = getattr(prompt, "cached_tokens", None)
    for vendor in ("prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens"):
        read = getattr(usage, vendor, None) if read is None else read
    beside = read if read and usage.prompt_tokens is not None and read > usage.prompt_tokens else None
    return {
        "input_tokens": _sum(usage.prompt_tokens, beside),
        "output_tokens": usage.completion_tokens,
        "cache_read_tokens": read,
        "cache_write_tokens": getattr(prompt, "cache_write_tokens", None),
        "reasoning_tokens": getattr(completion, "reasoning_tokens", getattr(usage, "reasoning_tokens", None)),
    }


def _completions(objects: list[Any]) -> Facts:
    facts = (
        {"text": objects[0].choices[0].text, "finish_reason": objects[0].choices[0].finish_reason} if objects else {}
    )
    return _present(
        {
            **facts,
            **{name: v for o in objects for name, v in {"response_model": o.model, **_chat_usage(o.usage)}.items()},
        }
    )


def _embeddings(objects: list[Any]) -> Facts:
    if not objects:
        return {}
    (o,) = objects
    counts = {
        "input_tokens": getattr(o.usage, "prompt_tokens", None),
        "output_tokens": getattr(o.usage, "completion_tokens", None),
    }
    if counts["input_tokens"] is None:
        counts["input_tokens"] = o.usage.total_tokens
    vectors = {"count": len(o.data), "dimensions": len(o.data[0].embedding)}
    return _present({"response_model": o.model, "vectors": vectors, **counts})


def _responses(objects: list[Any]) -> Facts:
    response = (
        _last(o if o.object.startswith("response") else None for o in objects)
        if not _are_events(objects)
        else _last(getattr(e, "response", None) for e in objects)
    )
    if response is None:
        return {}
    usage = response.usage
    details = getattr(response, "incomplete_details", None)
    items = response.output or [e.item for e in objects if getattr(e, "type", "") == "response.output_item.done"]
    texts = [
        part.text for item in items if item.type == "message" for part in item.content if part.type == "output_text"
    ]
    return _present(
        {
            "response_model": getattr(response, "model", None),
            "finish_reason": details.reason if details else getattr(response, "status", None),
            "text": "".join(texts) or None,
            "tools": [item.name for item in items if item.type in ("function_call", "custom_tool_call")] or None,
            **(_responses_usage(usage) if usage else {}),
        }
    )


def _are_events(objects: list[Any]) -> bool:
    return bool(objects) and hasattr(objects[0], "type")


def _responses_usage(usage: Any) -> Facts:
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": getattr(usage.input_tokens_details, "cached_tokens", None),
        "cache_write_tokens": getattr(usage.input_tokens_details, "cache_write_tokens", None),
        "reasoning_tokens": getattr(usage.output_tokens_details, "reasoning_tokens", None),
    }


def _messages(objects: list[Any]) -> Facts:
    if objects and objects[0].type != "message":
        return _message_events(objects)
    facts: Facts = {}
    for message in objects:
        facts = {
            "response_model": message.model,
            "finish_reason": message.stop_reason,
            "text": "".join(block.text for block in message.content if block.type == "text") or None,
            "tools": [block.name for block in message.content if block.type == "tool_use"] or None,
            **_message_usage([message.usage]),
        }
    return _present(facts)


def _message_events(events: list[Any]) -> Facts:
    starts = [event for event in events if event.type == "message_start"]
    ends = [event for event in events if event.type == "message_delta"]
    deltas = [event.delta for event in events if event.type == "content_block_delta"]
    blocks = [event.content_block for event in events if event.type == "content_block_start"]
    return _present(
        {
            "response_model": _last(event.message.model for event in starts),
            "finish_reason": _last(event.delta.stop_reason for event in ends),
            "text": "".join(delta.text for delta in deltas if delta.type == "text_delta") or None,
            "tools": [block.name for block in blocks if block.type == "tool_use"] or None,
            **_message_usage([*(event.message.usage for event in starts), *(event.usage for event in ends)]),
        }
    )


def _message_usage(usages: list[Any]) -> Facts:
    def latest(name: str) -> Any:
        return _last(getattr(usage, name, None) for usage in usages)

    read, written = latest("cache_read_input_tokens"), latest("cache_creation_input_tokens")
    return {
        "input_tokens": _sum(latest("input_tokens"), read, written),
        "output_tokens": latest("output_tokens"),
        "cache_read_tokens": read,
        "cache_write_tokens": written,
        "reasoning_tokens": getattr(latest("output_tokens_details"), "thinking_tokens", None),
    }


def _gemini(objects: list[Any]) -> Facts:
    candidates = [candidate for o in objects for candidate in (o.candidates or [])[:1]]
    parts = [part for candidate in candidates if candidate.content for part in candidate.content.parts or []]
    usage = _last(o.usage_metadata for o in objects)
    reason = _last(candidate.finish_reason for candidate in candidates)
    blocked = _last(o.prompt_feedback and o.prompt_feedback.block_reason for o in objects)
    return _present(
        {
            "response_model": _last(o.model_version for o in objects),
            "finish_reason": (reason or blocked).value if reason or blocked else None,
            "text": "".join(part.text for part in parts if part.text and not part.thought) or None,
            "tools": [part.function_call.name for part in parts if part.function_call] or None,
            **(_gemini_usage(usage) if usage else {}),
        }
    )


def _gemini_usage(usage: Any) -> Facts:
    return {
        "input_tokens": _sum(usage.prompt_token_count, usage.tool_use_prompt_token_count),
        "output_tokens": _sum(usage.candidates_token_count, usage.thoughts_token_count),
        "cache_read_tokens": usage.cached_content_token_count,
        "reasoning_tokens": usage.thoughts_token_count,
    }


def _gemini_json(chunks: list[Any]) -> Facts:
    """Return the same of the JSON itself, for what google-genai cannot read."""
    candidates = [candidate for chunk in chunks for candidate in chunk.get("candidates", [])]
    parts = [part for candidate in candidates for part in candidate.get("content", {}).get("parts", [])]
    usage = _last(chunk.get("usageMetadata") for chunk in chunks)
    reason = _last(candidate.get("finishReason") for candidate in candidates)
    return _present(
        {
            "response_model": _last(chunk.get("modelVersion") for chunk in chunks),
            "finish_reason": None if reason is None else str(reason),
            "text": "".join(part["text"] for part in parts if "text" in part and not part.get("thought")) or None,
            "tools": [part["functionCall"]["name"] for part in parts if "functionCall" in part] or None,
            "input_tokens": _sum(usage.get("promptTokenCount"), usage.get("toolUsePromptTokenCount")),
            "output_tokens": _sum(usage.get("candidatesTokenCount"), usage.get("thoughtsTokenCount")),
            "cache_read_tokens": usage.get("cachedContentTokenCount"),
            "reasoning_tokens": usage.get("thoughtsTokenCount"),
        }
    )


def _gemini_embeddings(objects: list[Any]) -> Facts:
    facts: Facts = {}
    for o in objects:
        vectors = o.embeddings or []
        facts["vectors"] = {"count": len(vectors), "dimensions": len(vectors[0].values)}
        facts["input_tokens"] = o.usage_metadata.prompt_token_count if o.usage_metadata else None
    return _present(facts)


def _error_facts(error: Any) -> Facts:
    """Return the provider's text and type, by the attributes that each SDK documents."""
    if type(error).__module__.startswith("google"):
        return _present({"error_message": error.message, "error_type": error.status, "status_code": error.code})
    body = error.body
    inner = body.get("error", body) if isinstance(body, dict) else {}
    if not isinstance(inner, dict):
        inner = {"message": inner}
    kind = inner.get("type") or inner.get("code")
    return _present(
        {
            "error_message": inner.get("message", inner.get("detail")),
            "error_type": str(kind) if kind else None,
            "status_code": getattr(error, "status_code", None),
        }
    )


_READERS: dict[str, Callable[[list[Any]], Facts]] = {
    "openai.chat": _chat,
    "openai.completions": _completions,
    "openai.embeddings": _embeddings,
    "openai.responses": _responses,
    "openai.compact": _responses,
    "anthropic.messages": _messages,
    "anthropic.count_tokens": lambda objects: {},
    "gemini.generate": _gemini,
    "vertexai.generate": _gemini,
    "gemini.embeddings": _gemini_embeddings,
    "vertexai.embeddings": _gemini_embeddings,
    "gemini.count_tokens": lambda objects: {},
}
