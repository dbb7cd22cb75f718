"""
One line around a call: sessions, nested operations, a stream, a failure, and tasks that run at once.

    python examples/contexts.py [FILE]
"""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator

from aicore_sqllog import SQLLogHandler, apolars_from_db, llm_operation, llm_session

path = sys.argv[1] if len(sys.argv) > 1 else "contexts.db"
url = f"sqlite:///{path}"

log = logging.getLogger("app.llm")
log.setLevel(logging.INFO)
handler = SQLLogHandler(url, workspace="contexts")
log.addHandler(handler)


async def model_answers(question: str) -> AsyncIterator[str]:
    """Stand in for an SDK's stream."""
    for word in ("The ", "answer ", "to ", question):
        await asyncio.sleep(0)
        yield word


@llm_operation(log, operation_type="search", provider="local", model="bm25")
async def search(question: str) -> str:
    """Find what is known; what a decorated function returns is recorded as its response."""
    await asyncio.sleep(0)
    if question == "impossible":
        raise LookupError("nothing is known")
    return f"what is known of {question}"


async def answer(user: str, question: str) -> None:
    """Answer one user: an agent's run, and inside it a search and a call of a model."""
    async with llm_session(f"chat-{user}", user_id=user), llm_operation(log, operation_type="agent"):
        found = await search(question)
        async with llm_operation(log, provider="openai", model="gpt-4o-mini", messages=[found, question]) as op:
            async for _ in op.stream(model_answers(question)):
                pass  # each chunk is here at once, to be sent on
            op.set(input_tokens=12, output_tokens=4)


async def main() -> None:
    """Answer three users at once, then show who called what inside what."""
    await asyncio.gather(
        answer("ann", "tides"), answer("bob", "comets"), answer("cid", "impossible"), return_exceptions=True
    )
    await handler.aflush()
    calls = await apolars_from_db(url)
    names = dict(zip(calls["operation_id"], calls["operation_type"], strict=True))
    for call in calls.sort("session_key", "operation_id").iter_rows(named=True):
        parent = names.get(call["parent_operation_id"] or "", "-")
        print(f"{call['session_key']}  {call['operation_type']:10} in {parent:6} {call['status']:8} {call['user_id']}")


asyncio.run(main())
