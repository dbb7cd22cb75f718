"""LangChain: a callback handler stores each run of a chain, a tool and a model, under the run around it."""

import logging
from typing import Any

from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_openai import ChatOpenAI

from aicore_sqllog import SQLLogHandler, llm_session, polars_from_db
from aicore_sqllog.integrations.langchain import SQLLogCallbackHandler

DATABASE = "sqlite:///langchain_app.db"


def answer(question: str, config: RunnableConfig) -> Any:
    """Ask the model; the configuration takes the callbacks along."""
    return ChatOpenAI(model="gpt-4o-mini", max_retries=0).invoke(question, config=config).content


def main() -> None:
    """Ask one question, and print the tree of runs."""
    log = logging.getLogger("langchain_app")
    log.setLevel("INFO")
    handler = SQLLogHandler(DATABASE)
    log.addHandler(handler)
    with llm_session("chat-1"):
        RunnableLambda(answer).invoke("Where?", config={"callbacks": [SQLLogCallbackHandler(log)]})
    handler.flush()
    for run in polars_from_db(DATABASE, order_by="operation_id").iter_rows(named=True):
        print(run["operation_type"], run["status"], "inner" if run["parent_operation_id"] else "outer")


if __name__ == "__main__":
    main()
