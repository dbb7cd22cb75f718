"""What is sent to a database, whoever's engine sends it; and a gate that holds a handler's thread."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine, make_url

from aicore_sqllog.delivery.service import THREAD_NAME

__all__ = ["Gate", "held_before_statements", "listening", "statements_to"]


@contextlib.contextmanager
def listening(url: str, **listeners: Callable[..., None]) -> Iterator[None]:
    """
    Call *listeners*, by the name of the engine event, for every connection to the database of *url*.

    An engine that was made before is not always heard: this must begin first.
    """
    database = make_url(url).database

    def filtered(listener: Callable[..., None]) -> Callable[..., None]:
        def listen(connection: sa.Connection, *arguments: Any) -> None:
            if connection.engine.url.database == database:
                listener(connection, *arguments)

        return listen

    added = {name: filtered(listener) for name, listener in listeners.items()}
    for name, listen in added.items():
        sa.event.listen(Engine, name, listen)
    try:
        yield
    finally:
        for name, listen in added.items():
            sa.event.remove(Engine, name, listen)


@contextlib.contextmanager
def statements_to(url: str) -> Iterator[list[str]]:
    """Yield the list in which the statements are put that are sent to the database of *url* meanwhile."""
    sent: list[str] = []

    def note(_connection: sa.Connection, _cursor: Any, statement: str, _parameters: Any, *_: Any) -> None:
        sent.append(statement)

    with listening(url, before_cursor_execute=note):
        yield sent


class Gate:
    """Holds a handler's thread before its first statement, until it is opened."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self.reached = threading.Event()

    def wait(self, *_: Any) -> None:
        if threading.current_thread().name == THREAD_NAME:
            self.reached.set()
            assert self._open.wait(60)

    def open(self) -> None:
        self._open.set()


@contextlib.contextmanager
def held_before_statements(url: str) -> Iterator[Gate]:
    """Yield the gate at which a handler's thread waits that sends anything to the database of *url*."""
    gate = Gate()
    with listening(url, before_cursor_execute=gate.wait):
        try:
            yield gate
        finally:
            gate.open()
