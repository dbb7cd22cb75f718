"""
OpenAI's legacy completions: a text in, a text out.
"""

from aicore_sqllog.responses.counts import as_index, as_name, at_path
from aicore_sqllog.responses.families.openai_usage import read_usage
from aicore_sqllog.responses.family import Body, Family, Fields, compact, mappings, one_message, rest
from aicore_sqllog.responses.merge import extend_text, merge_usage

__all__ = ["OPENAI_COMPLETIONS"]


_MARKS = frozenset({"finish_reason", "logprobs"})
"""A quiz has choices with a text, too."""


def _recognises(body: Body) -> bool:
    if not isinstance(at_path(body, "choices.0.text"), str):
        return False
    return body.get("object") == "text_completion" or not _MARKS.isdisjoint(body["choices"][0])


def _read(body: Body) -> Fields:
    choices = mappings(body.get("choices"))
    messages = [
        {"role": "assistant", "content": choice.get("text"), **rest(choice, {"text", "index", "finish_reason"})}
        for choice in choices
    ]
    return compact(
        {
            "operation_type": "text_completion",
            "status": "success",
            "response_model": as_name(body.get("model")),
            "response": one_message(messages),
            "finish_reason": as_name(at_path(choices, "0.finish_reason")),
            **read_usage(body.get("usage")),
            "extras": rest(body, {"choices", "model"}),
        }
    )


class _CompletionStream:
    def __init__(self) -> None:
        self.has_content = False
        self._body: Body = {}
        self._usage: Body = {}
        self._choices: dict[int, Body] = {}

    @property
    def is_complete(self) -> bool:
        return bool(self._choices) and all(choice.get("finish_reason") for choice in self._choices.values())

    def add(self, chunk: Body) -> None:
        self._body.update({key: value for key, value in chunk.items() if value is not None and key != "usage"})
        merge_usage(self._usage, chunk.get("usage"))
        for choice in mappings(chunk.get("choices")):
            so_far = self._choices.setdefault(as_index(choice.get("index")), {"text": ""})
            so_far.update({key: value for key, value in choice.items() if value is not None and key != "text"})
            self.has_content = extend_text(so_far, "text", choice.get("text")) or self.has_content

    def body(self) -> Body:
        usage = {"usage": self._usage} if self._usage else {}
        return {**self._body, **usage, "choices": list(self._choices.values())}


OPENAI_COMPLETIONS = Family(
    name="OpenAI completions",
    recognises=_recognises,
    read=_read,
    recognises_chunk=_recognises,
    open_stream=_CompletionStream,
)
