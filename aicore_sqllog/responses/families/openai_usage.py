"""
The usage block of OpenAI's chat API, with the names that those who speak it have added.
"""

from aicore_sqllog.responses.counts import Paths, as_count, at_path, read_counts

__all__ = ["read_usage"]

_PATHS: Paths = {
    "input_tokens": ("prompt_tokens", "input_tokens"),
    "output_tokens": ("completion_tokens", "output_tokens"),
    "cache_read_tokens": (
        "prompt_tokens_details.cached_tokens",
        "prompt_cache_hit_tokens",  # DeepSeek
        "num_cached_tokens",  # Mistral
        "cached_tokens",  # Together, Moonshot
    ),
    "cache_write_tokens": ("prompt_tokens_details.cache_write_tokens",),
    "reasoning_tokens": ("completion_tokens_details.reasoning_tokens", "reasoning_tokens"),
}


def read_usage(usage: object) -> dict[str, int]:
    """
    Return the counts of *usage*, inclusive.

    Two that others count beside the rest are seen by their sums: xAI's reasoning, which its total has
    and its completion has not, and what Azure's Grok reads from a cache, which is more than its prompt.
    """
    counts = read_counts(usage, _PATHS)
    prompt, output = counts.get("input_tokens"), counts.get("output_tokens")
    reasoning, cached = counts.get("reasoning_tokens", 0), counts.get("cache_read_tokens", 0)
    whole = as_count(at_path(usage, "total_tokens"))
    if reasoning and output is not None and whole == (prompt or 0) + output + reasoning:
        counts["output_tokens"] = output + reasoning
    if prompt is not None and cached > prompt:
        counts["input_tokens"] = prompt + cached
    return counts
