"""
The table of families: a new one is a file of its own and a line here.
"""

from collections.abc import Iterable

from aicore_sqllog.responses.families.anthropic_messages import ANTHROPIC_MESSAGES
from aicore_sqllog.responses.families.bedrock_converse import BEDROCK_CONVERSE
from aicore_sqllog.responses.families.bedrock_invoke import BEDROCK_INVOKE
from aicore_sqllog.responses.families.cohere_chat import COHERE_CHAT
from aicore_sqllog.responses.families.cohere_chat_v1 import COHERE_CHAT_V1
from aicore_sqllog.responses.families.gemini import GEMINI
from aicore_sqllog.responses.families.gemini_embeddings import GEMINI_EMBEDDINGS
from aicore_sqllog.responses.families.gemini_interactions import GEMINI_INTERACTIONS
from aicore_sqllog.responses.families.langchain import LANGCHAIN
from aicore_sqllog.responses.families.ollama import OLLAMA
from aicore_sqllog.responses.families.openai_chat import OPENAI_CHAT
from aicore_sqllog.responses.families.openai_completions import OPENAI_COMPLETIONS
from aicore_sqllog.responses.families.openai_embeddings import OPENAI_EMBEDDINGS
from aicore_sqllog.responses.families.openai_responses import OPENAI_RESPONSES
from aicore_sqllog.responses.families.other_embeddings import OTHER_EMBEDDINGS
from aicore_sqllog.responses.families.pydantic_ai import PYDANTIC_AI
from aicore_sqllog.responses.families.reranking import RERANKING
from aicore_sqllog.responses.family import Body, Family

__all__ = ["FAMILIES", "family_of", "family_of_chunk"]

FAMILIES: tuple[Family, ...] = (
    ANTHROPIC_MESSAGES,
    OPENAI_RESPONSES,
    OPENAI_CHAT,
    OPENAI_COMPLETIONS,
    OPENAI_EMBEDDINGS,
    GEMINI_EMBEDDINGS,
    GEMINI,
    GEMINI_INTERACTIONS,
    BEDROCK_CONVERSE,
    BEDROCK_INVOKE,
    OLLAMA,
    COHERE_CHAT,
    COHERE_CHAT_V1,
    OTHER_EMBEDDINGS,
    RERANKING,
    LANGCHAIN,
    PYDANTIC_AI,
)
"""The families; the first that recognises an answer reads it."""


def family_of(body: Body) -> Family | None:
    """Return the family of an answer; None where no family knows it."""
    return _first(family for family in FAMILIES if family.recognises(body))


def family_of_chunk(chunk: Body) -> Family | None:
    """Return the family of a streamed answer's chunk; None where no family knows it."""
    return _first(family for family in FAMILIES if family.open_stream is not None and family.recognises_chunk(chunk))


def _first(families: Iterable[Family]) -> Family | None:
    return next(iter(families), None)
