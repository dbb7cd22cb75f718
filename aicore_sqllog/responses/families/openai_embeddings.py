"""
OpenAI's embeddings, and those who speak them: how many vectors of how many dimensions, never the vectors.
"""

from typing import Any

from aicore_sqllog.responses.counts import Paths, as_count, as_name, at_path, read_counts
from aicore_sqllog.responses.family import Body, Family, Fields, compact, rest

__all__ = ["OPENAI_EMBEDDINGS", "dimensions"]

_PATHS: Paths = {
    "input_tokens": ("prompt_tokens", "total_tokens"),  # Voyage tells only the total, which here is the same
    "output_tokens": ("completion_tokens",),
}
_FLOAT_BYTES = 4


def _recognises(body: Body) -> bool:
    if at_path(body, "data.0.embedding") is None:
        return False
    return body.get("object") == "list" or not {"model", "usage"}.isdisjoint(body)


def _read(body: Body) -> Fields:
    vectors = body["data"]
    described = compact({"count": len(vectors), "dimensions": dimensions(vectors[0]["embedding"])})
    return compact(
        {
            "operation_type": "embeddings",
            "status": "success",
            "response_model": as_name(body.get("model")),
            **read_counts(body.get("usage"), _PATHS),
            "extras": {**rest(body, {"data", "model"}), "embeddings": described},
        }
    )


def dimensions(vector: Any) -> int | None:
    """Return how many numbers *vector* holds; as base64 they are floats of four bytes."""
    if isinstance(vector, str):
        return (len(vector) * 3 // 4 - vector[-2:].count("=")) // _FLOAT_BYTES
    return len(vector) if isinstance(vector, list) else as_count(at_path(vector, "dimensions"))


OPENAI_EMBEDDINGS = Family(name="OpenAI embeddings", recognises=_recognises, read=_read)
