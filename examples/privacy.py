"""
Decide what is kept: redactors for secrets, one of your own, and a session of which no text is stored.

    python examples/privacy.py [FILE]
"""

import json
import logging
import re
import sys

from aicore_sqllog import SQLLogHandler, llm_operation, llm_session, polars_from_db
from aicore_sqllog.redactors import card_numbers, email_addresses, keys_and_tokens, phone_numbers, truncate

path = sys.argv[1] if len(sys.argv) > 1 else "privacy.db"
url = f"sqlite:///{path}"


def ticket_numbers(text: str) -> str:
    """Hide the numbers of our own support tickets."""
    return re.sub(r"\bTICKET-\d+\b", "[ticket]", text)


log = logging.getLogger("app.llm")
log.setLevel(logging.INFO)
log.addHandler(
    SQLLogHandler(
        url,
        redact=[keys_and_tokens, email_addresses, card_numbers, phone_numbers, ticket_numbers, truncate(200)],
    )
)

with llm_session("support-1"), llm_operation(log, provider="openai", model="gpt-4o-mini") as op:
    op.set(messages="I am jane@example.com, +49 30 1234567; TICKET-815: my card 4111 1111 1111 1111 was refused.")
    op.record("Please use sk-test-abcdefghijklmnop1234 and tell nobody. " + "Thank you. " * 30)

with (
    llm_session("doctor-1", capture_content=False),
    llm_operation(log, provider="openai", model="gpt-4o-mini", messages="Where does it hurt?") as op,
):
    op.record("I would rather not say.")
    op.set(input_tokens=6, output_tokens=7)

log.handlers[0].flush()
for call in polars_from_db(url, include_messages=True).iter_rows(named=True):
    for message in call["messages"]:
        shown = message["content"] or json.loads(message["parts"])
        print(f"{call['session_key']}  {call['model']}  {message['role']}: {shown}")
