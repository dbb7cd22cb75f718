"""LiteLLM: a callback stores each call, with the cost that LiteLLM computes."""

import logging

import litellm

from aicore_sqllog import SQLLogHandler
from aicore_sqllog.integrations.litellm import SQLLogCallback

DATABASE = "sqlite:///litellm_app.db"


def main() -> None:
    """Make one call; what LiteLLM tells a little later is stored when the process ends, at the latest."""
    log = logging.getLogger("litellm_app")
    log.setLevel("INFO")
    log.addHandler(SQLLogHandler(DATABASE))
    litellm.callbacks = [SQLLogCallback(log)]
    answer = litellm.completion(model="openai/gpt-4o-mini", messages=[{"role": "user", "content": "Where?"}])
    print(answer.choices[0].message.content)


if __name__ == "__main__":
    main()
