"""
One line for a client: each of its calls is stored, with its answer, its time and its error.

    python examples/instrumented.py [DATABASE]

Asks the model behind $OPENAI_BASE_URL, by $OPENAI_API_KEY.
"""

import logging
import sys

from openai import OpenAI, OpenAIError
from openai.types.chat import ChatCompletionMessageParam

from aicore_sqllog import LogReader, SQLLogHandler, instrument, llm_session

MODEL = "gpt-4o-mini"
QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What is the capital of France?"}]


def main(database: str = "instrumented.db") -> None:
    log = logging.getLogger("my_app")
    log.setLevel(logging.INFO)
    log.addHandler(SQLLogHandler(f"sqlite:///{database}"))
    client = instrument(OpenAI(max_retries=0), log)

    with llm_session("chat-1", user_id="ann"):
        client.chat.completions.create(model=MODEL, messages=QUESTION)
        try:
            client.chat.completions.create(model="gpt-none", messages=QUESTION)
        except OpenAIError as error:
            print(f"failed: {type(error).__name__}")

    log.handlers[0].flush()
    with LogReader(f"sqlite:///{database}") as reader:
        for call in reader.operations(order_by="operation_id").iter_rows(named=True):
            print(call["model"], call["status"], call["input_tokens"], call["output_tokens"], call["error_type"])


if __name__ == "__main__":
    main(*sys.argv[1:])
