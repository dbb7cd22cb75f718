"""
Rankings of documents, as Cohere, Voyage and others answer: the order and the scores are the response.
"""

from aicore_sqllog.responses.counts import Paths, as_name, at_path, read_counts
from aicore_sqllog.responses.family import Body, Family, Fields, compact, rest

__all__ = ["RERANKING"]

_PATHS: Paths = {
    # What a reranker is told, it reads, and it writes nothing: a total is the input.
    "input_tokens": (
        "usage.prompt_tokens",
        "usage.total_tokens",
        "meta.tokens.input_tokens",
        "meta.billed_units.input_tokens",
    ),
    "output_tokens": ("meta.tokens.output_tokens",),
}
_LISTS = ("results", "data")


def _recognises(body: Body) -> bool:
    scored = any(
        at_path(body, f"{name}.0.relevance_score") is not None and at_path(body, f"{name}.0.index") is not None
        for name in _LISTS
    )
    return scored and not {"meta", "usage"}.isdisjoint(body)


def _read(body: Body) -> Fields:
    ranking = next(body[name] for name in _LISTS if isinstance(body.get(name), list))
    return compact(
        {
            "operation_type": "rerank",
            "provider": "cohere" if as_name(at_path(body, "meta.api_version.version")) else None,
            "status": "success",
            "response_model": as_name(body.get("model")),
            "response": {"role": "assistant", "content": ranking},
            **read_counts(body, _PATHS),
            "extras": rest(body, {*_LISTS, "model"}),
        }
    )


RERANKING = Family(name="Rankings", recognises=_recognises, read=_read)
