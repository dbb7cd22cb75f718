"""
Amazon Bedrock's converse and converse_stream, as boto3 returns them.
"""

from aicore_sqllog.responses.counts import Paths, as_index, as_name, at_path, read_counts, total
from aicore_sqllog.responses.family import Body, Family, Fields, compact, mappings, rest
from aicore_sqllog.responses.merge import extend_text, merge_delta, merge_usage
from aicore_sqllog.responses.tool_calls import read_json, tool_call

__all__ = ["BEDROCK_CONVERSE"]

_PATHS: Paths = {
    "input_tokens": ("inputTokens",),
    "output_tokens": ("outputTokens",),
    "cache_read_tokens": ("cacheReadInputTokens", "cacheReadInputTokenCount"),
    "cache_write_tokens": ("cacheWriteInputTokens", "cacheWriteInputTokenCount"),
}
_EVENTS = frozenset(
    {"messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"}
)


def _recognises(body: Body) -> bool:
    return isinstance(at_path(body, "output.message.content"), list)


def _recognises_chunk(chunk: Body) -> bool:
    if len(chunk) != 1:
        return False
    ((event, said),) = chunk.items()
    if event == "metadata":  # a word of many
        return isinstance(said, dict) and not {"usage", "metrics"}.isdisjoint(said)
    return event in _EVENTS or _exception(chunk) is not None


def _exception(chunk: Body) -> Body | None:
    """Return the exception that a stream was cut by, named after its event."""
    for name, said in chunk.items():
        if isinstance(name, str) and name.endswith("Exception") and isinstance(said, dict) and "message" in said:
            return {"type": name, **said}
    return None


def _read(body: Body) -> Fields:
    blocks = mappings(at_path(body, "output.message.content"))
    calls = [
        tool_call(call.get("toolUseId"), call.get("name"), call.get("input"))
        for call in mappings([block.get("toolUse") for block in blocks])
    ]
    is_text = len(blocks) == 1 and blocks[0].keys() == {"text"}
    message = {
        "role": at_path(body, "output.message.role") or "assistant",
        "content": blocks[0]["text"] if is_text else blocks,
        "tool_calls": calls or None,
    }
    return compact(
        {
            "operation_type": "chat",
            "status": "success",
            "response": compact(message),
            "finish_reason": as_name(body.get("stopReason")),
            **_read_usage(body.get("usage")),
            "extras": rest(body, {"output", "stopReason"}),
        }
    )


def _read_usage(usage: object) -> dict[str, int]:
    """Return the counts, inclusive: what is read from and written to the cache is counted beside the input."""
    counts = read_counts(usage, _PATHS)
    if "input_tokens" in counts:
        inclusive = total(counts["input_tokens"], counts.get("cache_read_tokens"), counts.get("cache_write_tokens"))
        counts["input_tokens"] = inclusive or 0
    return counts


class _ConverseStream:
    def __init__(self) -> None:
        self.has_content = False
        self.is_complete = False
        self._body: Body = {}
        self._usage: Body = {}
        self._role: object = None
        self._blocks: dict[int, Body] = {}

    def add(self, chunk: Body) -> None:
        ((event, said),) = chunk.items()
        if not isinstance(said, dict):
            return
        if (error := _exception(chunk)) is not None:
            self._body["error"] = error
        elif event == "messageStart":
            self._role = said.get("role")
        elif event in ("contentBlockStart", "contentBlockDelta"):
            self._add_to_block(said)
        elif event in ("messageStop", "metadata"):
            self._body.update(rest(said, {"usage"}))
            merge_usage(self._usage, said.get("usage"))
            self.is_complete = self.is_complete or event == "messageStop"

    def _add_to_block(self, said: Body) -> None:
        block = self._blocks.setdefault(as_index(said.get("contentBlockIndex")), {})
        for delta in mappings([said.get("start"), said.get("delta")]):
            self.has_content = self.has_content or any(delta.values())
            tool = delta.get("toolUse")
            if isinstance(tool, dict) and isinstance(block.setdefault("toolUse", {}), dict):
                extend_text(block["toolUse"], "input", tool.get("input"))
                block["toolUse"].update(rest(tool, {"input"}))
            else:
                merge_delta(block, delta)

    def body(self) -> Body:
        content = [_finished(self._blocks[index]) for index in sorted(self._blocks)]
        usage = {"usage": self._usage} if self._usage else {}
        return {**self._body, **usage, "output": {"message": {"role": self._role, "content": content}}}


def _finished(block: Body) -> Body:
    tool = block.get("toolUse")
    return {**block, "toolUse": {**tool, "input": read_json(tool.get("input"))}} if isinstance(tool, dict) else block


BEDROCK_CONVERSE = Family(
    name="Bedrock converse",
    recognises=_recognises,
    read=_read,
    recognises_chunk=_recognises_chunk,
    open_stream=_ConverseStream,
)
