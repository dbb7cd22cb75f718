"""
OpenAI's chat completions, and everyone who speaks them.
"""

from aicore_sqllog.responses.counts import as_index, as_name, at_path
from aicore_sqllog.responses.errors import error_in
from aicore_sqllog.responses.families.openai_usage import read_usage
from aicore_sqllog.responses.family import Body, Family, Fields, compact, mappings, one_message, rest
from aicore_sqllog.responses.merge import merge_delta, merge_usage, says_something

__all__ = ["OPENAI_CHAT"]

_USED = frozenset({"choices", "model"})
_CHOICE_USED = frozenset({"index", "message", "delta", "text", "finish_reason", "usage"})
_SAID = frozenset({"role", "content", "tool_calls"})
_CHOICE_WHOLE = frozenset({"message", "text"})
_BESIDE_CHOICES = frozenset({"usage", "prompt_filter_results", "x_groq"})
"""What a chunk without choices tells: Azure's first, and the last with what all of it took."""

_PADDING = frozenset({"obfuscation", "p"})
"""Random text that hides the length of a chunk."""


def _recognises(body: Body) -> bool:
    if body.get("object") == "chat.completion":
        return True
    messages = [choice.get("message") for choice in mappings(body.get("choices"))]
    return any(isinstance(message, dict) and not _SAID.isdisjoint(message) for message in messages)


def _recognises_chunk(chunk: Body) -> bool:
    if chunk.get("object") == "chat.completion.chunk":
        return True
    choices = chunk.get("choices")
    if choices == []:
        return not _BESIDE_CHOICES.isdisjoint(chunk)
    return any(_is_piece(choice) for choice in mappings(choices))


def _is_piece(choice: Body) -> bool:
    """Whether *choice* is part of a streamed answer: Azure's late verdicts on its content have no delta."""
    return isinstance(choice.get("delta"), dict) or (
        "finish_reason" in choice and "index" in choice and _CHOICE_WHOLE.isdisjoint(choice)
    )


def _error(body: Body) -> Body | None:
    """Return the error of a choice: OpenRouter's answer, cut by one, is a success for HTTP."""
    for choice in mappings(body.get("choices")):
        if (error := choice.get("error") or at_path(choice, "message.error")) and error_in({"error": error}):
            return {"error": error}
        if choice.get("finish_reason") == "error":
            return {"error": "the answer ended with finish_reason 'error'"}
    return None


def _repeats(event: Body) -> bool:
    """Whether *event* is one of the openai SDK's stream helper, which says a chunk once more, piece by piece."""
    return isinstance(event.get("type"), str) and event["type"].endswith((".delta", ".done"))


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
        self._usage: Body = {}
        self._choices: dict[int, Body] = {}

    @property
    def is_complete(self) -> bool:
        return bool(self._choices) and all(choice.get("finish_reason") for choice in self._choices.values())

    def add(self, chunk: Body) -> None:
        for choice in mappings(chunk.get("choices")):
            self._add_choice(choice)
        for key, value in chunk.items():
            if key == "usage" and isinstance(value, dict):
                merge_usage(self._usage, value)
            elif key not in _PADDING and key != "choices" and value not in (None, [], {}, ""):
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
            elif key == "usage" and isinstance(value, dict):
                merge_usage(so_far.setdefault("usage", {}), value)
            elif key not in ("delta", "message", "text") and value is not None:
                so_far[key] = value

    def body(self) -> Body:
        for choice in self._choices.values():
            for call in mappings(choice["message"].get("tool_calls")):
                call.pop("index", None)
        usage = {"usage": self._usage} if self._usage else {}
        return {**self._body, **usage, "choices": list(self._choices.values())}


OPENAI_CHAT = Family(
    name="OpenAI chat completions",
    recognises=_recognises,
    read=_read,
    recognises_chunk=_recognises_chunk,
    open_stream=_ChatStream,
    error=_error,
    repeats=_repeats,
)
