"""loguru and structlog: one line each, and records about calls of a model are stored."""

import logging

import structlog
from loguru import logger

from aicore_sqllog import SQLLogHandler, polars_from_db
from aicore_sqllog.integrations.loguru import loguru_sink
from aicore_sqllog.integrations.structlog import structlog_processor

DATABASE = "sqlite:///loguru_and_structlog.db"


def main() -> None:
    """Log one call with each, and print what was stored."""
    log = logging.getLogger("calls")
    log.setLevel("INFO")
    handler = SQLLogHandler(DATABASE)
    log.addHandler(handler)

    logger.remove()
    logger.add(loguru_sink(log))
    logger.bind(provider="openai", model="by-loguru", input_tokens=3).info("answered")

    structlog.configure(processors=[structlog_processor(log), structlog.processors.JSONRenderer()])
    structlog.get_logger().info("answered", provider="openai", model="by-structlog", input_tokens=4)

    handler.flush()
    print(polars_from_db(DATABASE).select("model", "input_tokens").rows())


if __name__ == "__main__":
    main()
