"""
Configure logging, log a handful of LLM calls, read them back.

    python examples/quickstart.py [FILE]
"""

import logging
import logging.config
import sys

from aicore_sqllog import polars_from_db

path = sys.argv[1] if len(sys.argv) > 1 else "quickstart.db"
url = f"sqlite:///{path}"

logging.config.dictConfig(
    {
        "version": 1,
        "handlers": {"llm": {"class": "aicore_sqllog.SQLLogHandler", "connection": url, "workspace": "quickstart"}},
        "loggers": {"app.llm": {"level": "INFO", "handlers": ["llm"]}},
    }
)
log = logging.getLogger("app.llm")

log.info(
    "answered",
    extra={
        "session_id": "chat-1",
        "provider": "openai",
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "What is the capital of France?"}],
        "response": "Paris.",
        "input_tokens": 14,
        "output_tokens": 3,
        "latency_ms": 412,
        "cost": 0.0000039,
        "extras": {"project": "geography"},
    },
)
log.info(
    "asked for a tool",
    extra={
        "session_id": "chat-1",
        "provider": "openai",
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "And its weather?"}],
        "response": {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}],
        },
        "finish_reason": "tool_calls",
        "input_tokens": 41,
        "output_tokens": 16,
        "latency_ms": 688,
        "cost": 0.00001575,
    },
)
try:
    raise TimeoutError("no answer within 30 s")
except TimeoutError:
    log.exception("failed", extra={"session_id": "chat-2", "provider": "anthropic", "model": "claude-sonnet-4-5"})

log.handlers[0].flush()  # a reader sees what is committed; without this it is, a second later

calls = polars_from_db(url, include_messages=True)
print(calls.select("model", "status", "input_tokens", "output_tokens", "latency_ms", "error_type"))
for call in calls.to_dicts():
    for message in call["messages"]:
        print(f"{call['session_key']}  {message['role']}: {message['content'] or message['parts']}")
print(f"{len(calls)} calls, {calls['input_tokens'].sum()} tokens in, cost {calls['cost'].sum():.8f}")
