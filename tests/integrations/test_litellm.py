"""LiteLLM, against recorded answers: programs, streams, routers and what its proxy hands to a callback."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from aicore_sqllog import llm_operation, llm_session
from tests.integrations.conftest import Stored, wants

pytestmark = [
    pytest.mark.backends("sqlite"),
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # LiteLLM's own, and of what it imports
]
QUESTION = [{"role": "user", "content": "Where?"}]


@pytest.fixture
def litellm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    module = import_module("litellm")
    for name in ("callbacks", "success_callback", "failure_callback", "_async_success_callback", "input_callback"):
        monkeypatch.setattr(module, name, [])
    monkeypatch.setattr(module, "_async_failure_callback", [])
    monkeypatch.setattr(module, "suppress_debug_info", True)
    return module


class Told:
    """A callback that tells when so many calls have ended: LiteLLM calls it in a thread of its own."""

    def __init__(self, log: logging.Logger, **fields: Any) -> None:
        from aicore_sqllog.integrations.litellm import SQLLogCallback

        told = self

        class Telling(SQLLogCallback):
            def _log(self, *args: Any) -> None:
                super()._log(*args)
                with told.changed:
                    told.calls += 1
                    told.changed.notify_all()

        self.calls = 0
        self.changed = threading.Condition()
        self.callback = Telling(log, **fields)

    def wait(self, calls: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.calls >= calls, 30)


def asked(url: str, name: str, provider: str = "openai", **more: Any) -> dict[str, Any]:
    model = {"openai": "openai/gpt-4o-mini", "anthropic": "anthropic/claude-3-5-haiku-20241022"}[provider]
    where = {"api_base": url, "api_key": "k", "extra_headers": wants(name), "num_retries": 0, "max_retries": 0}
    return {"model": model, "messages": QUESTION, **where, **more}


def test_a_call_plain_streamed_with_tools_and_failing(
    litellm: Any, answers: str, stored: Stored, log: logging.Logger
) -> None:
    told = Told(log, user_id="ann")
    litellm.callbacks = [told.callback]
    with llm_session("chat-42"), llm_operation(log, operation_type="agent") as agent:
        plain = litellm.completion(**asked(answers, "chat"))
        told.wait(1)
        chunks = list(litellm.completion(**asked(answers, "chat stream", stream=True)))
        told.wait(2)
        litellm.completion(**asked(answers, "message tools", "anthropic"))
        told.wait(3)
        with pytest.raises(litellm.NotFoundError):
            litellm.completion(**asked(answers, "chat failure"))
        told.wait(4)
    rows = {row["messages"][-1]["content"] if row["messages"] else "": row for row in stored()}
    by_type = sorted(rows.values(), key=lambda row: row["timestamp"])
    calls = [row for row in by_type if row["operation_type"] == "chat"]

    assert len(calls) == 4
    assert {row["parent_operation_id"] for row in calls} == {agent.operation_id}
    assert {(row["session_key"], row["user_id"]) for row in calls} == {("chat-42", "ann")}
    first = rows[plain.choices[0].message.content]
    assert (first["input_tokens"], first["output_tokens"]) == (plain.usage.prompt_tokens, plain.usage.completion_tokens)
    assert (first["provider"], first["status"]) == ("openai", "success")
    assert first["cost"] == pytest.approx(litellm.completion_cost(plain))
    assert first["extras"]["sqllog"]["cost_source"] == "reported"
    stream = rows["".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)]
    assert stream["cost"] > 0
    assert stream["time_to_first_token_ms"] is not None
    assert [row["provider"] for row in calls].count("anthropic") == 1
    (failed,) = (row for row in calls if row["status"] == "error")
    assert "does not exist" in failed["error_message"]
    assert failed["cost"] is None


def test_asynchronous_calls_in_parallel_are_stored_once_under_their_own_operations(
    litellm: Any, answers: str, stored: Stored, log: logging.Logger
) -> None:
    told = Told(log)
    litellm.callbacks = [told.callback]
    agents: list[str] = []

    async def one(number: int) -> None:
        async with llm_operation(log, operation_type="agent", action_id=str(number)) as agent:
            agents.append(agent.operation_id)
            if number % 2:
                async for _ in await litellm.acompletion(**asked(answers, "chat stream", stream=True)):
                    pass
            else:
                await litellm.acompletion(**asked(answers, "chat"))

    async def all_of_them() -> None:
        await asyncio.gather(*(one(number) for number in range(6)))
        await asyncio.to_thread(told.wait, 6)
        await import_module("litellm.litellm_core_utils.logging_worker").GLOBAL_LOGGING_WORKER.flush()

    asyncio.run(all_of_them())
    calls = [row for row in stored() if row["operation_type"] == "chat"]

    assert sorted(row["parent_operation_id"] for row in calls) == sorted(agents)


def test_a_router_s_failure_and_its_fallback_are_calls_each(
    litellm: Any, answers: str, stored: Stored, log: logging.Logger
) -> None:
    told = Told(log)
    litellm.callbacks = [told.callback]
    models = [
        {"model_name": name, "litellm_params": {k: v for k, v in asked(answers, what).items() if k != "messages"}}
        for name, what in (("first", "chat failure"), ("second", "chat"))
    ]
    router = litellm.Router(model_list=models, fallbacks=[{"first": ["second"]}], num_retries=0)
    metadata = {"user_api_key_user_id": "ann", "user_api_key_team_alias": "research"}  # as the proxy says who asks
    router.completion(model="first", messages=QUESTION, metadata=metadata)
    told.wait(2)
    rows = sorted(stored(), key=lambda row: row["status"])

    assert [row["status"] for row in rows] == ["error", "success"]
    assert [row["extras"]["litellm"]["model_group"] for row in rows] == ["first", "second"]
    assert {(row["user_id"], row["workspace"]) for row in rows} == {("ann", "research")}


def test_the_proxy_finds_the_callback_by_the_name_in_its_configuration(litellm: Any, tmp_path: Path) -> None:
    (tmp_path / "custom_callbacks.py").write_text(
        "from aicore_sqllog.integrations.litellm import SQLLogCallback\nsqllog = SQLLogCallback('calls')\n"
    )
    load = import_module("litellm.proxy.types_utils.utils").get_instance_fn
    callback = load("custom_callbacks.sqllog", config_file_path=str(tmp_path / "config.yaml"))

    assert isinstance(callback, import_module("litellm.integrations.custom_logger").CustomLogger)
