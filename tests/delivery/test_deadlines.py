"""A server that goes silent in the middle: no transaction waits for it for ever, and the records are stored later."""

import logging

import pytest
from sqlalchemy.engine import make_url

from aicore_sqllog import SQLLogHandler
from aicore_sqllog.storage import database
from aicore_sqllog.storage.dialects import mysql
from aicore_sqllog.storage.dialects.generic import Purpose
from tests.support.processes import wait_until
from tests.support.proxy import FaultProxy
from tests.support.servers import execute

CALL = {"provider": "p", "model": "m", "response": "r"}


@pytest.mark.backends("postgresql+asyncpg", "mysql+asyncmy", "mysql+pymysql")
def test_a_silent_server_is_given_up_and_asked_again(
    url: str, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(mysql._ANSWER_SECONDS, Purpose.WRITE, 1)
    target = make_url(url)
    with FaultProxy(target) as proxy:
        handler = SQLLogHandler(proxy.through(target), flush_interval=3600)
        log.addHandler(handler)
        log.info("call", extra=CALL)
        assert handler.flush(60)
        with monkeypatch.context() as patch:
            patch.setattr(database, "_TRANSACTION_SECONDS", 0.5)
            proxy.swallow()
            log.info("call", extra=CALL)
            assert handler.flush(0) is False
            wait_until(lambda: handler.stats().retries > 0)
        proxy.cut()  # what comes now is answered
        assert handler.flush(60)
        assert execute(url, "select count(*) from llm_operations") == [(2,)]
        handler.close()
