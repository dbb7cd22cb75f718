"""
Ollama's own chat and generate, as their JSON lines or as its SDK returns them.
"""

from aicore_sqllog.responses.counts import Paths, as_name, read_counts
from aicore_sqllog.responses.family import Body, Family, Fields, compact, mappings, rest
from aicore_sqllog.responses.merge import extend_text, merge_delta, says_something
from aicore_sqllog.responses.tool_calls import tool_call_of

__all__ = ["OLLAMA"]

_PATHS: Paths = {"input_tokens": ("prompt_eval_count",), "output_tokens": ("eval_count",)}


def _recognises(body: Body) -> bool:
    if not isinstance(body.get("done"), bool) or "model" not in body:
        return False
    return isinstance(body.get("message"), dict) or isinstance(body.get("response"), str)


def _read(body: Body) -> Fields:
    message = body.get("message")
    said = message if isinstance(message, dict) else {"content": body.get("response"), "thinking": body.get("thinking")}
    calls = [tool_call_of(call) for call in mappings(said.get("tool_calls"))]
    return compact(
        {
            "operation_type": "chat" if isinstance(message, dict) else "text_completion",
            "status": "success" if body.get("done") else None,
            "response_model": as_name(body.get("model")),
            "response": compact({"role": "assistant", **rest(said, {"tool_calls"}), "tool_calls": calls or None}),
            "finish_reason": as_name(body.get("done_reason")),
            **read_counts(body, _PATHS),
            "extras": rest(body, {"model", "message", "response", "thinking", "done", "done_reason"}),
        }
    )


class _OllamaStream:
    def __init__(self) -> None:
        self.has_content = False
        self.is_complete = False
        self._body: Body = {}
        self._message: Body = {}

    def add(self, chunk: Body) -> None:
        self._body.update(rest(chunk, {"message", "response", "thinking"}))
        message = chunk.get("message")
        if isinstance(message, dict):
            self.has_content = self.has_content or says_something(message)
            merge_delta(self._message, message)
        for key in ("response", "thinking"):
            self.has_content = extend_text(self._body, key, chunk.get(key)) or self.has_content
        self.is_complete = self.is_complete or chunk.get("done") is True

    def body(self) -> Body:
        return {**self._body, "message": self._message} if self._message else self._body


OLLAMA = Family(
    name="Ollama",
    recognises=_recognises,
    read=_read,
    recognises_chunk=_recognises,
    open_stream=_OllamaStream,
)
