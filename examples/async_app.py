"""
An asyncio application: tasks log while the loop runs, nothing blocks it.

    python examples/async_app.py [FILE]
"""

import asyncio
import logging
import sys

from aicore_sqllog import SQLLogHandler, apolars_from_db

path = sys.argv[1] if len(sys.argv) > 1 else "async_app.db"
url = f"sqlite+aiosqlite:///{path}"

log = logging.getLogger("app.llm")
log.setLevel(logging.INFO)
handler = SQLLogHandler(url, workspace="async-app")
log.addHandler(handler)


async def call_model(task: int, turn: int) -> None:
    """Stand in for an SDK's call, and log it."""
    await asyncio.sleep(0)
    log.info(
        "answered",
        extra={
            "session_id": f"task-{task}",
            "model": "echo-1",
            "messages": f"question {turn} of task {task}",
            "response": f"answer {turn} of task {task}",
            "input_tokens": 5,
            "output_tokens": 5,
        },
    )


async def converse(task: int) -> None:
    """Make the calls of one session."""
    for turn in range(3):
        await call_model(task, turn)


async def main() -> None:
    """Run ten sessions at once, then read what they did."""
    await asyncio.gather(*(converse(task) for task in range(10)))
    print("stored:", await handler.aflush())
    calls = await apolars_from_db(url)
    print(calls.group_by("session_key").len("calls").sort("session_key"))


asyncio.run(main())
