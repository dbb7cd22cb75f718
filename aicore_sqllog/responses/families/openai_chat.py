"""
OpenAI's chat completions, and everyone who speaks them.
"""

from aicore_sqllog.responses.counts import as_index, as_name, at_path
from aicore_sqllog.responses.families.openai_usage import read_usage
from aicore_sqllog.responses.family import Body, Family, Fields, compact, mappings, one_message, rest
from aicore_sqllog.responses.merge import merge_delta, says_something

__all__ = ["OPENAI_CHAT"]

_USED = frozenset({"choices", "model"})
_CHOICE_USED = frozenset({"index", "message", "delta", "text", "finish_reason", "usage"})
_PADDING = frozenset({"obfuscation", "p"})
"""Random text that hides the length of a chunk."""


def _recognises(body: Body) -> bool:
    return isinstance(at_path(body, "choices.0.message"), dict) or body.get("object") == "chat.completion"


def _recognises_chunk(chunk: Body) -> bool:
    if isinstance(at_path(chunk, "choices.0.delta"), dict) or chunk.get("object") == "chat.completion.chunk":
        return True
    return chunk.get("choices") == [] and "prompt_filter_results" in chunk  # Azure's first


def _read(body: Body) -> Fields:
    choices = mappings(body.get("choices"))
    first = choices[0] if choices else {}
    return compact(
        {
            "operation_type": "chat",
            "status": "success",
            "response_model": as_name(body.get("model")),
            "response": one_message([_read_message(choice) for choice in choices]),
            "finish_reason": as_name(first.get("finish_reason")),
            **read_usage(_usage(body, first)),
            "extras": rest(body, _USED),
        }
    )


def _usage(body: Body, choice: Body) -> object:
    return body.get("usage") or at_path(body, "x_groq.usage") or choice.get("usage")


def _read_message(choice: Body) -> Body:
    message = choice.get("message")
    said = message if isinstance(message, dict) else {}
    return {
        "role": said.get("role") or "assistant",
        "content": said.get("content"),
        **rest(choice, _CHOICE_USED),
        **rest(said, {"role", "content"}),
    }


class _ChatStream:
    def __init__(self) -> None:
        self.has_content = False
        self._body: Body = {}
        self._choices: dict[int, Body] = {}

    @property
    def is_complete(self) -> bool:
        return bool(self._choices) and all(choice.get("finish_reason") for choice in self._choices.values())

    def add(self, chunk: Body) -> None:
        for choice in mappings(chunk.get("choices")):
            self._add_choice(choice)
        for key, value in chunk.items():
            if key not in _PADDING and key != "choices" and value not in (None, [], {}, ""):
                self._body[key] = value

    def _add_choice(self, choice: Body) -> None:
        so_far = self._choices.setdefault(as_index(choice.get("index")), {"message": {}})
        delta = choice.get("delta")
        if isinstance(delta, dict):
            self.has_content = self.has_content or says_something(delta)
            merge_delta(so_far["message"], delta)
        for key, value in choice.items():
            if key == "logprobs" and isinstance(value, dict):
                merge_delta(so_far, {key: value})
            elif key not in ("delta", "message", "text") and value is not None:
                so_far[key] = value

    def body(self) -> Body:
        for choice in self._choices.values():
            for call in mappings(choice["message"].get("tool_calls")):
                call.pop("index", None)
        return {**self._body, "choices": list(self._choices.values())}


OPENAI_CHAT = Family(
    name="OpenAI chat completions",
    recognises=_recognises,
    read=_read,
    recognises_chunk=_recognises_chunk,
    open_stream=_ChatStream,
)
