"""
Models' own answers, as Amazon Bedrock's invoke_model and its streams hand them on: Llama, Titan, Cohere's Command.
"""

from aicore_sqllog.responses.counts import Paths, as_name, at_path, read_counts
from aicore_sqllog.responses.family import Body, Family, Fields, compact, mappings, one_message, rest
from aicore_sqllog.responses.merge import extend_text

__all__ = ["BEDROCK_INVOKE"]

_METRICS = "amazon-bedrock-invocationMetrics"
"""Of a stream's last chunk: the counts that Bedrock itself adds, whichever model answered."""

_PATHS: Paths = {
    "input_tokens": ("prompt_token_count", "inputTextTokenCount", f"{_METRICS}.inputTokenCount"),
    "output_tokens": (
        "generation_token_count",
        "results.0.tokenCount",
        "totalOutputTextTokenCount",
        f"{_METRICS}.outputTokenCount",
    ),
}
_TEXTS = ("generation", "outputText")
_REASONS = ("stop_reason", "completionReason")
_USED = frozenset({*_TEXTS, *_REASONS, "results", "generations", "prompt"})


def _recognises(body: Body) -> bool:
    if isinstance(body.get("generation"), str):
        return not {"generation_token_count", "prompt_token_count", "stop_reason"}.isdisjoint(body)
    if at_path(body, "results.0.outputText") is not None:
        return "inputTextTokenCount" in body
    return at_path(body, "generations.0.text") is not None and at_path(body, "generations.0.finish_reason") is not None


def _recognises_chunk(chunk: Body) -> bool:
    if isinstance(chunk.get("outputText"), str):
        return not {"totalOutputTextTokenCount", "completionReason", "inputTextTokenCount"}.isdisjoint(chunk)
    return isinstance(chunk.get("generation"), str) and _recognises(chunk)


def _read(body: Body) -> Fields:
    choices = mappings(body.get("results")) or mappings(body.get("generations"))
    first = choices[0] if choices else body
    texts = [_text_of(choice) for choice in choices or [body]]
    reasons = (first.get(name) for name in (*_REASONS, "finish_reason"))
    return compact(
        {
            "operation_type": "text_completion",
            "status": "success",
            "provider": None if "generations" in body else "aws.bedrock",
            "response": one_message([{"role": "assistant", "content": text} for text in texts if text is not None]),
            "finish_reason": next(filter(None, map(as_name, reasons)), None),
            **read_counts(body, _PATHS),
            "extras": rest(body, _USED),
        }
    )


def _text_of(choice: Body) -> str | None:
    return next((choice[name] for name in (*_TEXTS, "text") if isinstance(choice.get(name), str)), None)


class _InvokeStream:
    def __init__(self) -> None:
        self.has_content = False
        self.is_complete = False
        self._body: Body = {}

    def add(self, chunk: Body) -> None:
        for name in _TEXTS:
            self.has_content = extend_text(self._body, name, chunk.get(name)) or self.has_content
        self._body.update(rest(chunk, _TEXTS))
        self.is_complete = self.is_complete or any(as_name(chunk.get(name)) for name in _REASONS)

    def body(self) -> Body:
        return self._body


BEDROCK_INVOKE = Family(
    name="Bedrock invoke",
    recognises=_recognises,
    read=_read,
    recognises_chunk=_recognises_chunk,
    open_stream=_InvokeStream,
)
