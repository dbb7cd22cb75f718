"""
Who answered, by the marks that providers leave in their answers; the names are OpenTelemetry's where it has one.
"""

import re
from collections.abc import Mapping

from aicore_sqllog.responses.counts import at_path
from aicore_sqllog.responses.family import Body

__all__ = ["find_provider", "provider_of_host", "provider_of_sdk"]

_OPENAI_MODELS = r"(ft:)?(gpt-\d|chatgpt-|o[134](-|$)|(text-)?(davinci|curie|babbage|ada)|codex-|computer-use)"
_MISTRAL_MODELS = r"(open-)?(mi[sx]tral|ministral|codestral|magistral|pixtral|devstral|voxtral)"

_MARKS: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("openrouter", {"id": "gen-", "provider": ""}),
    ("groq", {"x_groq": ""}),
    ("deepseek", {"usage.prompt_cache_hit_tokens": ""}),
    ("deepseek", {"model": "deepseek-(chat|reasoner|v[0-9])", "id": "[0-9a-f]{8}-"}),
    ("x_ai", {"usage.cost_in_usd_ticks": "", "object": "response$"}),  # Azure's Grok chats have it too
    ("azure.ai.openai", {"prompt_filter_results": ""}),
    ("azure.ai.openai", {"choices.0.content_filter_results": ""}),
    ("azure.ai.openai", {"content_filters": ""}),
    ("perplexity", {"model": "sonar", "citations": ""}),
    ("together", {"id": "o", "choices.0.seed": ""}),
    ("cerebras", {"time_info": ""}),
    ("ollama", {"system_fingerprint": "fp_ollama"}),
    ("ollama", {"eval_duration": "", "load_duration": ""}),
    ("mistral_ai", {"model": _MISTRAL_MODELS, "id": "[0-9a-f]{32}$"}),
    ("z_ai", {"model": "glm-", "request_id": ""}),
    ("writer", {"model": "palmyra", "system_fingerprint": "v"}),
    ("aws.bedrock", {"type": "message", "id": "msg_bdrk_"}),
    ("gcp.vertex_ai", {"type": "message", "id": "msg_vrtx_"}),
    ("anthropic", {"type": "message", "id": "msg_"}),
    ("aws.bedrock", {"output.message.content": "", "metrics.latencyMs": ""}),
    ("anthropic", {"type": "error", "error.type": ".*_error$"}),
    ("gcp.vertex_ai", {"usageMetadata.trafficType": ""}),
    ("gcp.vertex_ai", {"candidates": "", "createTime": ""}),
    ("gcp.gemini", {"candidates": "", "modelVersion": ""}),
    ("openai", {"model": _OPENAI_MODELS, "id": "(chatcmpl|cmpl|resp)[-_][0-9A-Za-z]{20}"}),
    ("openai", {"object": "response.compaction", "id": "resp_"}),
)  # fmt: skip
"""The provider, and what its answers have: the place, and how the text there begins ("" is any value). First wins."""

_HOSTS = (
    ("openai.azure.com", "azure.ai.openai"),
    ("services.ai.azure.com", "azure.ai.inference"),
    ("api.openai.com", "openai"),
    ("api.anthropic.com", "anthropic"),
    ("generativelanguage.googleapis.com", "gcp.gemini"),
    ("aiplatform.googleapis.com", "gcp.vertex_ai"),
    ("amazonaws.com", "aws.bedrock"),
    ("api.aws", "aws.bedrock"),
    ("openrouter.ai", "openrouter"),
    ("api.groq.com", "groq"),
    ("api.deepseek.com", "deepseek"),
    ("api.x.ai", "x_ai"),
    ("api.together.xyz", "together"),
    ("api.together.ai", "together"),
    ("api.mistral.ai", "mistral_ai"),
    ("api.perplexity.ai", "perplexity"),
    ("api.cerebras.ai", "cerebras"),
    ("api.cohere.com", "cohere"),
    ("ollama.com", "ollama"),
)
_SDKS = {"groq": "groq", "mistralai": "mistral_ai", "together": "together", "cerebras": "cerebras", "ollama": "ollama"}
"""SDKs that speak to one provider only; ``openai`` and ``anthropic`` speak to many."""


def find_provider(body: Body) -> str | None:
    """Return who wrote *body*, where it bears a mark; None where it could be anyone's."""
    return next((provider for provider, marks in _MARKS if _bears(body, marks)), None)


def provider_of_host(host: object) -> str | None:
    """Return who answers at *host*, if that is known."""
    if not isinstance(host, str):
        return None
    return next((provider for suffix, provider in _HOSTS if host == suffix or host.endswith(f".{suffix}")), None)


def provider_of_sdk(value: object) -> str | None:
    """Return the one provider that the SDK speaks to whose class *value* has."""
    return _SDKS.get(type(value).__module__.partition(".")[0])


def _bears(body: Body, marks: Mapping[str, str]) -> bool:
    for place, beginning in marks.items():
        value = at_path(body, place)
        if value is None or (beginning and not (isinstance(value, str) and re.match(beginning, value))):
            return False
    return True
