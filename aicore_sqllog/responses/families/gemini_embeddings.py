"""
Gemini's embeddings: how many vectors of how many dimensions, never the vectors.
"""

from aicore_sqllog.responses.counts import Paths, at_path, read_counts
from aicore_sqllog.responses.families.gemini import camel_case
from aicore_sqllog.responses.families.openai_embeddings import dimensions
from aicore_sqllog.responses.family import Body, Family, Fields, compact, rest

__all__ = ["GEMINI_EMBEDDINGS"]

_PATHS: Paths = {"input_tokens": ("promptTokenCount",)}


def _recognises(body: Body) -> bool:
    return at_path(body, "embeddings.0.values") is not None or at_path(body, "embedding.values") is not None


def _read(body: Body) -> Fields:
    vectors = body.get("embeddings") or [body.get("embedding")]
    described = compact({"count": len(vectors), "dimensions": dimensions(at_path(vectors, "0.values"))})
    return compact(
        {
            "operation_type": "embeddings",
            "status": "success",
            **read_counts(body.get("usageMetadata"), _PATHS),
            "extras": {**rest(body, {"embeddings", "embedding", "sdkHttpResponse"}), "embeddings": described},
        }
    )


GEMINI_EMBEDDINGS = Family(name="Gemini embeddings", recognises=_recognises, read=_read, normalise=camel_case)
