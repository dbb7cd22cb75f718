"""
Embeddings of Cohere, and of Amazon's Titan and Nova: how many vectors of how many dimensions, never the vectors.
"""

from typing import Any

from aicore_sqllog.responses.counts import Paths, as_name, at_path, read_counts
from aicore_sqllog.responses.families.openai_embeddings import dimensions
from aicore_sqllog.responses.family import Body, Family, Fields, compact, rest

__all__ = ["OTHER_EMBEDDINGS"]

_PATHS: Paths = {"input_tokens": ("inputTextTokenCount", "meta.tokens.input_tokens", "meta.billed_units.input_tokens")}
_VECTORS = frozenset({"embedding", "embeddings", "embeddingsByType"})


def _recognises(body: Body) -> bool:
    if _first(_vectors(body)) is None:
        return False
    return body.keys() == {"embeddings"} or not {"response_type", "texts", *_VECTORS - {"embeddings"}}.isdisjoint(body)


def _vectors(body: Body) -> list[Any]:
    """Return the vectors: one, a list of them or of mappings that hold one, or such a list for each type of number."""
    vectors = body.get("embeddings", body.get("embedding"))
    if isinstance(vectors, dict):
        vectors = next((found for found in vectors.values() if isinstance(found, list)), None)
    if not isinstance(vectors, list) or not vectors:
        return []
    return [vectors] if isinstance(vectors[0], int | float) else vectors


def _first(vectors: list[Any]) -> int | None:
    """Return how many numbers the first vector holds; None where it is none."""
    held = at_path(vectors, "0.embedding") or at_path(vectors, "0")
    return dimensions(held) if isinstance(held, list) and held and isinstance(held[0], int | float) else None


def _read(body: Body) -> Fields:
    vectors = _vectors(body)
    described = compact({"count": len(vectors), "dimensions": _first(vectors)})
    return compact(
        {
            "operation_type": "embeddings",
            "provider": "cohere" if as_name(at_path(body, "meta.api_version.version")) else None,
            "status": "success",
            **read_counts(body, _PATHS),
            "extras": {**rest(body, _VECTORS | {"texts"}), "embeddings": described},
        }
    )


OTHER_EMBEDDINGS = Family(name="Embeddings of Cohere and Amazon", recognises=_recognises, read=_read)
