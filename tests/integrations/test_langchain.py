"""LangChain, against recorded answers: models, tools, retrievers and chains leave rows under each other."""

import asyncio
import json
import logging
from importlib import import_module
from typing import Any

import pytest

from aicore_sqllog import llm_operation, llm_session
from aicore_sqllog.integrations.langchain import SQLLogCallbackHandler
from tests.integrations.conftest import Stored, wants

pytestmark = [pytest.mark.backends("sqlite"), pytest.mark.slow]


def model(url: str, name: str, **settings: Any) -> Any:
    chat = import_module("langchain_openai").ChatOpenAI
    headers = {"default_headers": wants(name)}
    return chat(model="gpt-4o-mini", base_url=url, api_key="k", max_retries=0, **headers, **settings)


def calling(log: logging.Logger, **fields: Any) -> Any:
    return {"callbacks": [SQLLogCallbackHandler(log, **fields)]}


def test_a_call_plain_and_streamed(answers: str, stored: Stored, log: logging.Logger) -> None:
    with llm_session("chat-42"), llm_operation(log, operation_type="agent") as agent:
        said = model(answers, "chat", temperature=0.5).invoke("Where?", config=calling(log, user_id="ann"))
    streamed = "".join(chunk.content for chunk in model(answers, "chat stream").stream("Where?", config=calling(log)))
    outer, plain, stream = stored()

    assert (outer["operation_type"], plain["parent_operation_id"]) == ("agent", agent.operation_id)
    assert (plain["session_key"], plain["user_id"], plain["operation_type"]) == ("chat-42", "ann", "chat")
    assert (plain["provider"], plain["model"], plain["status"]) == ("openai", "gpt-4o-mini", "success")
    assert plain["input_tokens"] == said.usage_metadata["input_tokens"]
    assert plain["output_tokens"] == said.usage_metadata["output_tokens"]
    assert [(m["role"], m["content"]) for m in plain["messages"]] == [("user", "Where?"), ("assistant", said.content)]
    assert plain["extras"]["sqllog"]["request"]["temperature"] == 0.5
    assert "'k'" not in str(plain["extras"])
    assert stream["messages"][-1]["content"] == streamed
    assert stream["time_to_first_token_ms"] is not None
    assert stream["parent_operation_id"] is None


def test_a_chain_of_tools_and_searches_is_a_tree(answers: str, stored: Stored, log: logging.Logger) -> None:
    core = "langchain_core"
    tool, runnables = import_module(f"{core}.tools").tool, import_module(f"{core}.runnables")
    retrievers, documents = import_module(f"{core}.retrievers"), import_module(f"{core}.documents")

    class Library(retrievers.BaseRetriever):  # type: ignore[misc, name-defined]  # loaded late
        def _get_relevant_documents(self, query: str, **_: Any) -> Any:
            return [documents.Document("Rome is in Italy")]

    @tool  # type: ignore[untyped-decorator]  # loaded late
    def look_up(city: str) -> str:
        """Say where a city is."""
        return f"{city} is in Italy"

    def ask(question: str, config: Any) -> str:
        Library().invoke(question, config=config)
        answer = model(answers, "chat tools").invoke(question, config=config)
        for _call in answer.tool_calls:
            look_up.invoke({"city": "Rome"}, config=config)
        return str(answer.tool_calls[0]["name"])

    name = runnables.RunnableLambda(ask, name="ask").invoke("Where?", config=calling(log))
    chain, search, call, *tools = stored()

    assert [row["operation_type"] for row in (chain, search, call)] == ["chain", "retrieval", "chat"]
    assert tools
    assert {row["operation_type"] for row in tools} == {"execute_tool"}
    assert {row["parent_operation_id"] for row in (search, call, *tools)} == {chain["operation_id"]}
    assert (chain["action_id"], tools[0]["action_id"], search["action_id"]) == ("ask", "look_up", "Library")
    assert chain["messages"][0]["content"] == "Where?"
    assert "Rome is in Italy" in str(search["messages"][-1])
    assert tools[0]["messages"][-1] == {
        "role": "tool", "content": "Rome is in Italy", "parts": None, "sequence_number": 1
    }  # fmt: skip
    assert json.loads(call["messages"][-1]["parts"])["tool_calls"][0]["function"]["name"] == name
    assert call["finish_reason"] == "tool_calls"


def test_runs_in_parallel_keep_their_parents(answers: str, stored: Stored, log: logging.Logger) -> None:
    runnables = import_module("langchain_core.runnables")

    async def many() -> None:
        chat = model(answers, "chat")
        both = runnables.RunnableParallel(a=chat, b=chat).with_config(run_name="both")
        with llm_session("parallel"):
            await asyncio.gather(*(both.ainvoke("Where?", config=calling(log)) for _ in range(5)))

    asyncio.run(many())
    rows = stored()
    chains = {row["operation_id"] for row in rows if row["action_id"] == "both"}
    parents = [row["parent_operation_id"] for row in rows if row["operation_type"] == "chat"]

    assert (len(chains), len(parents)) == (5, 10)
    assert sorted(parents) == sorted([*chains, *chains])
    assert {row["session_key"] for row in rows} == {"parallel"}


def test_what_fails_is_an_error_at_each_level(answers: str, stored: Stored, log: logging.Logger) -> None:
    chain = import_module("langchain_core.runnables").RunnableLambda(
        lambda question, config: model(answers, "chat failure").invoke(question, config=config), name="ask"
    )
    with pytest.raises(import_module("openai").NotFoundError):
        chain.invoke("Where?", config=calling(log))
    outer, call = stored()

    assert (outer["status"], call["status"]) == ("error", "error")
    assert call["parent_operation_id"] == outer["operation_id"]
    assert "does not exist" in call["error_message"]


def test_content_that_is_not_to_be_kept_is_not(answers: str, stored: Stored, log: logging.Logger) -> None:
    chain = import_module("langchain_core.runnables").RunnableLambda(
        lambda question, config: model(answers, "chat").invoke(question, config=config)
    )
    with llm_session(capture_content=False):
        said = chain.invoke("a secret", config=calling(log))
    rows = stored()

    assert len(rows) == 2
    assert "a secret" not in str(rows)
    assert said.content not in str(rows)
