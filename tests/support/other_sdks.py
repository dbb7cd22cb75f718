"""
Cohere's, Ollama's, Amazon's and Google's other clients: what they return for a recording, and what that says.

Where there is no client, or it hands on the bare JSON, the facts stand in a table that was written by hand.
"""

import json
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from importlib import import_module
from typing import Any

from tests.support.recordings import RECORDING_HEADER, Recording

Facts = dict[str, Any]
_ASKED = [{"role": "user", "content": "?"}]
_SDKS = ("cohere", "ollama", "botocore", "google")

_NO_CACHE: Facts = {"cache_read_tokens": 0, "cache_write_tokens": 0}
BY_HAND: dict[str, Facts] = {
    # Amazon Titan, Meta Llama and Cohere Command as invoke_model hands them on: bare JSON.
    "5f4bd675a837e551": {"input_tokens": 18, "output_tokens": 50, "finish_reason": "LENGTH"},
    "62179468cd7da839": {"input_tokens": 30, "output_tokens": 29, "finish_reason": "FINISH"},
    "9c8f275794615ef0": {"input_tokens": 5, "output_tokens": 10, "finish_reason": "length"},
    "a35e5518ce7f5343": {"finish_reason": "MAX_TOKENS"},
    "07df7289580d6132": {"finish_reason": "MAX_TOKENS"},
    "5efd9b40b9f5c488": {"finish_reason": "MAX_TOKENS"},
    # Amazon Nova, which speaks as converse does.
    "1a3f61a2cfb29611": {**_NO_CACHE, "input_tokens": 16, "output_tokens": 27, "finish_reason": "end_turn"},
    "e4eb3ea59e9bbb74": {**_NO_CACHE, "input_tokens": 13, "output_tokens": 3, "finish_reason": "end_turn"},
    "23afefc4aa35ea48": {"input_tokens": 5, "output_tokens": 10, "finish_reason": "max_tokens"},
    "1697bc31855e933d": {**_NO_CACHE, "input_tokens": 7, "output_tokens": 53, "finish_reason": "end_turn"},
    # Embeddings of Titan.
    **{
        recording_id: {"input_tokens": count, "vectors": {"count": 1, "dimensions": dimensions}}
        for recording_id, count, dimensions in (
            ("beef12f3daa9b134", 2, 1024),
            ("aabad4851fd58b35", 2, 1024),
            ("229c1aebad99c808", 2, 1024),
            ("c227c33e0d670fa9", 2, 1024),
            ("7155244f10fd01d7", 2, 1024),
            ("015700b7e5d70379", 2, 1024),
            ("9379f419864dbd3b", 5, 256),
            ("fda28057c4a74849", 5, 1024),
            ("bc08bfdad4fccf0b", 2, 1024),
            ("36e299a0c2942d9e", 2, 1024),
            ("739944162850e3a1", 4, 256),
            ("6fe682cc7efef0d1", 4, 1024),
        )
    },
    # Embeddings of Nova and Cohere: Bedrock tells their tokens in a header only.
    **{
        recording_id: {"vectors": {"count": count, "dimensions": dimensions}}
        for recording_id, count, dimensions in (
            ("539ea0710bab9a42", 1, 256),
            ("a2049bc9b0aad6f4", 1, 3072),
            ("f4117a36cc007231", 2, 1024),
            ("53e4846ff13eebbc", 1, 1024),
            ("7a617ade141abca1", 1, 1536),
            ("efe0f05c8626d77e", 3, 512),
            ("21b29a11cbc7736a", 1, 1536),
            ("7c22700a78c52a50", 1, 1536),
            ("3141ca5d57ca9418", 1, 1536),
            ("5404fc8edc0b2164", 1, 1536),
        )
    },
    # Rankings.
    "9f13812e8252fee4": {"input_tokens": 17, "response_model": "rerank-2.5-lite"},
    "ed25b6c34af865df": {"input_tokens": 57, "response_model": "rerank-2-lite"},
}
_TEXT_PLACES: dict[str, Callable[[Any], Any]] = {
    "results": lambda body: "".join(r.get("outputText", "") for r in body["results"]),
    "generation": lambda body: body["generation"],
    "generations": lambda body: body["generations"][0]["text"],
    "text": lambda body: body["text"],
    "output": lambda body: "".join(part["text"] for part in body["output"]["message"]["content"]),
}


class OtherSdks:
    """The clients, pointed at a local server; no retries."""

    def __init__(self, url: str) -> None:
        self._url = url
        boto3, config = import_module("boto3"), import_module("botocore.config").Config
        keys = {"aws_access_key_id": "of", "aws_secret_access_key": "the-tests", "region_name": "us-east-1"}
        settings = config(retries={"max_attempts": 0}, proxies={})
        self._bedrock = boto3.client("bedrock-runtime", endpoint_url=url, config=settings, **keys)
        self._bedrock.meta.events.register("before-call.bedrock-runtime.*", self._name_recording)
        self._wanted = ""
        cohere, genai = import_module("cohere"), import_module("google.genai")
        self._open = ExitStack()
        self._open.callback(self._bedrock.close)
        self._cohere = self._open.enter_context(cohere.ClientV2("key", base_url=url))
        self._cohere_v1 = self._open.enter_context(cohere.Client("key", base_url=url))
        http = {"base_url": url, "retry_options": {"attempts": 1}}
        self._google = self._open.enter_context(genai.Client(api_key="key", http_options=http))

    def close(self) -> None:
        self._open.close()

    def read_all(self, recording: Recording) -> tuple[list[Any], Exception | None]:
        """Return what the client made of *recording*, and what it raised."""
        objects: list[Any] = []
        try:
            answer = self._call(recording)
            objects.extend(answer if recording.streamed else [answer])
        except Exception as exc:
            if not type(exc).__module__.startswith(_SDKS):
                raise
            return objects, exc
        return objects, None

    def _name_recording(self, params: dict[str, Any], **_: object) -> None:
        params["headers"][RECORDING_HEADER] = self._wanted

    def _call(self, recording: Recording) -> Any:
        sdk = recording.call.partition(".")[0]
        if recording.id in BY_HAND and sdk != "bedrock":
            return recording.json
        calls = {"cohere": self._ask_cohere, "ollama": self._ask_ollama, "bedrock": self._ask_bedrock}
        return calls.get(sdk, self._ask_google)(recording)

    def _ask_cohere(self, recording: Recording) -> Any:
        options = {"request_options": {"additional_headers": {RECORDING_HEADER: recording.id}, "max_retries": 0}}
        if recording.call == "cohere.rerank":
            return self._cohere.rerank(model="m", query="?", documents=["a"], **options)
        if recording.call == "cohere.chat_v1":
            return self._cohere_v1.chat(message="?", **options)
        ask = self._cohere.chat_stream if recording.streamed else self._cohere.chat
        return ask(model="m", messages=_ASKED, **options)

    def _ask_ollama(self, recording: Recording) -> Any:
        client = import_module("ollama").Client(host=self._url, headers={RECORDING_HEADER: recording.id})
        self._open.callback(client._client.close)
        if recording.call == "ollama.completions":
            return client.generate("m", "?", stream=recording.streamed)
        return client.chat("m", _ASKED, stream=recording.streamed)

    def _ask_bedrock(self, recording: Recording) -> Any:
        self._wanted, client = recording.id, self._bedrock
        messages = [{"role": "user", "content": [{"text": "?"}]}]
        if recording.call == "bedrock.converse":
            return client.converse(modelId="m", messages=messages)
        if recording.call == "bedrock.converse_stream":
            return client.converse_stream(modelId="m", messages=messages)["stream"]
        if recording.call == "bedrock.invoke_stream":
            return client.invoke_model_with_response_stream(modelId="m", body=b"{}")["body"]
        return json.loads(client.invoke_model(modelId="m", body=b"{}")["body"].read())

    def _ask_google(self, recording: Recording) -> Any:
        asked = {"model": "m", "input": "?", "extra_headers": {RECORDING_HEADER: recording.id}}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # interactions are experimental, says the SDK
            return self._google.interactions.create(stream=recording.streamed, **asked)


def facts_of_reply(recording: Recording, objects: list[Any], error: Any) -> Facts:
    """Return what the objects say, attribute by attribute."""
    if error is not None:
        return _error(recording, error)
    if recording.id in BY_HAND:
        return {**BY_HAND[recording.id], **_text_by_hand(objects[0])}
    found = _READERS[recording.call](objects)
    return {name: value for name, value in found.items() if value not in (None, "", [])}


def _text_by_hand(body: Any) -> Facts:
    text = next((read(body) for name, read in _TEXT_PLACES.items() if name in body and "index" not in str(body)), "")
    return {"text": text} if text else {}


def _error(recording: Recording, error: Any) -> Facts:
    if recording.call.startswith("bedrock"):
        told = error.response["Error"]
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return {"error_message": told["Message"], "error_type": told["Code"], "status_code": status}
    return {"error_message": error.error, "status_code": error.status_code}


def _count(value: Any) -> int | None:
    return None if value is None else int(value)


def _cohere_usage(usage: Any) -> Facts:
    tokens = usage.tokens
    return {
        "input_tokens": _count(tokens.input_tokens),
        "output_tokens": _count(tokens.output_tokens),
        "cache_read_tokens": _count(getattr(usage, "cached_tokens", None)),
    }


def _cohere(objects: list[Any]) -> Facts:
    if hasattr(objects[0], "message"):
        (o,) = objects
        parts = o.message.content or []
        return {
            "finish_reason": o.finish_reason,
            "text": "".join(part.text for part in parts if part.type == "text"),
            "tools": [call.function.name for call in o.message.tool_calls or []],
            **_cohere_usage(o.usage),
        }
    deltas = [o.delta.message.content for o in objects if o.type in ("content-start", "content-delta")]
    end = next(o for o in objects if o.type == "message-end")
    return {
        "finish_reason": end.delta.finish_reason,
        "text": "".join(delta.text or "" for delta in deltas),
        "tools": [o.delta.message.tool_calls.function.name for o in objects if o.type == "tool-call-start"],
        **_cohere_usage(end.delta.usage),
    }


def _cohere_v1(objects: list[Any]) -> Facts:
    (o,) = objects
    return {"finish_reason": o.finish_reason, "text": o.text, **_cohere_usage(o.meta)}


def _ollama(objects: list[Any]) -> Facts:
    last = objects[-1]
    said = [o.message if hasattr(o, "message") else o for o in objects]
    calls = [call for message in said for call in (getattr(message, "tool_calls", None) or [])]
    return {
        "response_model": last.model,
        "finish_reason": last.done_reason,
        "text": "".join((getattr(m, "content", None) or getattr(m, "response", None) or "") for m in said),
        "tools": [call.function.name for call in calls],
        "input_tokens": last.prompt_eval_count,
        "output_tokens": last.eval_count,
    }


def _converse(objects: list[Any]) -> Facts:
    (o,) = objects
    usage, blocks = o["usage"], o["output"]["message"]["content"]
    cached = [usage.get("cacheReadInputTokens"), usage.get("cacheWriteInputTokens")]
    return {
        "finish_reason": o["stopReason"],
        "text": "".join(block.get("text", "") for block in blocks),
        "tools": [block["toolUse"]["name"] for block in blocks if "toolUse" in block],
        "input_tokens": usage["inputTokens"] + sum(count or 0 for count in cached),
        "output_tokens": usage["outputTokens"],
        "cache_read_tokens": cached[0],
        "cache_write_tokens": cached[1],
    }


def _interactions(objects: list[Any]) -> Facts:
    whole = next((o.interaction for o in reversed(objects) if getattr(o, "interaction", None) is not None), objects[-1])
    usage = whole.usage
    deltas = [o.delta for o in objects if getattr(o, "event_type", "") == "step.delta"]
    steps = [] if deltas else [step for step in whole.steps if step.type == "model_output"]
    texts = [part.text for step in steps for part in step.content] + [getattr(d, "text", None) or "" for d in deltas]
    begun = [o.step for o in objects if getattr(o, "event_type", "") == "step.start"]
    return {
        "response_model": whole.model,
        "finish_reason": whole.status,
        "text": "".join(texts),
        "tools": [step.name for step in begun or whole.steps if step.type == "function_call"],
        "input_tokens": usage.total_input_tokens + usage.total_tool_use_tokens,
        "output_tokens": usage.total_output_tokens + usage.total_thought_tokens,
        "cache_read_tokens": usage.total_cached_tokens,
        "reasoning_tokens": usage.total_thought_tokens,
    }


_READERS: dict[str, Callable[[list[Any]], Facts]] = {
    "cohere.chat": _cohere,
    "cohere.chat_v1": _cohere_v1,
    "cohere.rerank": lambda objects: {},
    "ollama.chat": _ollama,
    "ollama.completions": _ollama,
    "bedrock.converse": _converse,
    "gemini.interactions": _interactions,
}
