"""
A TCP proxy in front of a real database server, which refuses, cuts, slows or swallows on demand.

It reads the wire protocol's message framing on the way, so that it can cut a connection at the COMMIT of a
transaction that wrote: before the server has it, or when the server has answered it and the client has not heard so.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Literal, Protocol

from sqlalchemy.engine import URL

__all__ = ["FaultProxy", "Moment", "MySQLWire", "PostgreSQLWire", "Wire"]

Moment = Literal["before", "after"]
"""When a connection is cut: COMMIT is not forwarded; or it is, and its answer is not."""

_CHUNK = 65536
_RESET = b"\x01\x00\x00\x00\x00\x00\x00\x00"
"""SO_LINGER of 0 seconds: the peer sees a reset, as when a machine goes away."""
_UNENCRYPTED = {
    "postgresql+psycopg2": {"sslmode": "disable"},
    "postgresql+psycopg": {"sslmode": "disable"},
    "postgresql+asyncpg": {"ssl": "disable"},
}


class Wire(Protocol):
    """One connection's protocol: what is a message, which asks for COMMIT, which ends the answer to it."""

    def client_messages(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """Yield what the client has completed with *data*, and whether it commits what was written."""

    def ends_answer(self, data: bytes) -> bool:
        """Whether *data* of the server completes a message that ends an answer."""


class PostgreSQLWire:
    """PostgreSQL 3.0: a start-up message, then a type byte and a length; simple and extended queries."""

    def __init__(self) -> None:
        self._client, self._server = b"", b""
        self._has_started = False
        self._transaction = _Transaction()
        self._statements: dict[bytes, bytes] = {}
        self._portals: dict[bytes, bytes] = {}

    def client_messages(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        self._client += data
        while True:
            head = 1 if self._has_started else 0
            message, self._client = _split(self._client, head, 4, "big", includes_length=True)
            if message is None:
                return
            if not self._has_started:
                # A request for encryption (code 1234.x) is followed by another start-up message.
                self._has_started = message[4:6] != b"\x04\xd2"
                yield message, False
            else:
                yield message, self._commits(message[:1], message[5:])

    def _commits(self, kind: bytes, body: bytes) -> bool:
        first, _, rest = body.partition(b"\0")
        second = rest.partition(b"\0")[0]
        if kind == b"Q":
            return self._transaction.commits(first)
        if kind == b"P":  # a statement's name, and its text
            self._statements[first] = second
        elif kind == b"B":  # a portal's name, and its statement's
            self._portals[first] = self._statements.get(second, b"")
        return kind == b"E" and self._transaction.commits(self._portals.get(first, b""))

    def ends_answer(self, data: bytes) -> bool:
        self._server += data
        ended = False
        while True:
            message, self._server = _split(self._server, 1, 4, "big", includes_length=True)
            if message is None:
                return ended
            ended = ended or message[:1] == b"Z"  # ready for query


class MySQLWire:
    """MySQL: packets of a length of 3 bytes and a number, which is 0 where a command begins."""

    def __init__(self) -> None:
        self._client, self._server = b"", b""
        self._transaction = _Transaction()

    def client_messages(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        self._client += data
        while True:
            message, self._client = _split(self._client, 0, 3, "little", includes_length=False)
            if message is None:
                return
            yield message, message[3] == 0 and message[4:5] == b"\x03" and self._transaction.commits(message[5:])

    def ends_answer(self, data: bytes) -> bool:
        # COMMIT is answered by one packet, that says OK or an error.
        self._server += data
        message, self._server = _split(self._server, 0, 3, "little", includes_length=False)
        return message is not None


def _split(
    data: bytes, before: int, width: int, order: Literal["big", "little"], *, includes_length: bool
) -> tuple[bytes | None, bytes]:
    """Return the first whole message of *data*, None if there is none yet, and what follows it."""
    start = before + width
    if len(data) < start + (0 if includes_length else 1):
        return None, data
    length = int.from_bytes(data[before:start], order)
    end = before + length if includes_length else start + 1 + length
    return (data[:end], data[end:]) if len(data) >= end else (None, data)


class _Transaction:
    """Tells a COMMIT after a write from one that ends nothing, which some drivers send when they connect."""

    def __init__(self) -> None:
        self._has_written = False

    def commits(self, statement: bytes) -> bool:
        """Note *statement*; return whether it commits what was written."""
        verb = statement.strip(b"\0; \t\r\n")[:12].upper()
        if verb == b"COMMIT":
            had_written, self._has_written = self._has_written, False
            return had_written
        self._has_written |= verb.startswith((b"INSERT", b"UPDATE", b"DELETE"))
        return False


class FaultProxy:
    """
    Listens on a port of its own, and forwards to *target* until told otherwise.

    Args:
        target: The server's URL.

    Use as a context manager; ``port`` is where to connect.
    """

    def __init__(self, target: URL) -> None:
        assert target.host is not None
        is_mysql = target.get_backend_name() in ("mysql", "mariadb")
        self._wire: type[MySQLWire] | type[PostgreSQLWire] = MySQLWire if is_mysql else PostgreSQLWire
        self._target = (target.host, target.port or (3306 if is_mysql else 5432))
        self._lock = threading.Lock()
        self._links: set[_Link] = set()
        self._armed: list[Moment] = []
        self._listener: socket.socket | None = None
        self._open_again = threading.Event()
        self._open_again.set()
        self.delay = 0.0
        """Seconds that each chunk is held, in both directions."""
        self.cuts: list[Moment] = []
        """The cuts at COMMIT that were made."""
        self.commits = 0
        """How often the server got a COMMIT."""
        self.port = 0

    def __enter__(self) -> "FaultProxy":
        self.accept()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        self.cut()

    def through(self, url: URL) -> URL:
        """Return *url* such that it leads through this proxy, unencrypted."""
        # Over TLS nothing could be read on the way; a local server offers none, but libpq would ask.
        return url.set(host="127.0.0.1", port=self.port).update_query_dict(_UNENCRYPTED.get(url.drivername, {}))

    def accept(self) -> None:
        """Take new connections, on the port that was used before."""
        if self._listener is not None:
            return
        listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self._listener, self.port = listener, listener.getsockname()[1]
        threading.Thread(target=self._listen, args=(listener,), daemon=True).start()

    def refuse(self) -> None:
        """Refuse new connections; those that are open stay."""
        listener, self._listener = self._listener, None
        if listener is not None:
            # A forked child may hold the same socket: shut down, it is closed for both.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def cut(self) -> None:
        """Cut every open connection, on both sides."""
        with self._lock:
            links, self._links = self._links, set()
        for link in links:
            link.cut()
        self._open_again.set()

    def swallow(self) -> None:
        """From now on take everything and answer nothing, until :meth:`answer` or :meth:`cut`."""
        self._open_again.clear()

    def answer(self) -> None:
        """Forward again, what was swallowed first."""
        self._open_again.set()

    def cut_at_commit(self, *moments: Moment) -> None:
        """Cut the connections that bring the next COMMITs, one for each of *moments*."""
        with self._lock:
            self._armed.extend(moments)

    def disarm(self) -> None:
        """Let the next COMMITs pass."""
        with self._lock:
            self._armed.clear()

    # -- for the links -------------------------------------------------------------------------

    def hold(self) -> None:
        """Wait as the proxy is told to."""
        self._open_again.wait()
        if self.delay:
            threading.Event().wait(self.delay)

    def meet_commit(self) -> Moment | None:
        """Note a COMMIT on its way; return what to do to it."""
        with self._lock:
            moment = self._armed.pop(0) if self._armed else None
            if moment is not None:
                self.cuts.append(moment)
            self.commits += moment != "before"
            return moment

    def _listen(self, listener: socket.socket) -> None:
        while True:
            try:
                client = listener.accept()[0]
            except OSError:
                return
            try:
                server = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            link = _Link(self, client, server, self._wire())
            with self._lock:
                self._links.add(link)
            if self._listener is not listener:  # refused meanwhile, and perhaps cut: before this one was known
                self._drop(link)
                return
            link.start(self._drop)

    def _drop(self, link: "_Link") -> None:
        with self._lock:
            self._links.discard(link)
        link.cut()


class _Link:
    """One client's connection, and ours to the server for it."""

    def __init__(self, proxy: FaultProxy, client: socket.socket, server: socket.socket, wire: Wire) -> None:
        self._proxy, self._client, self._server, self._wire = proxy, client, server, wire
        self._ends_with_this_answer = False
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start(self, on_end: Callable[["_Link"], None]) -> None:
        """Forward in both directions, on a thread each."""

        def run(forward: Callable[[], None]) -> None:
            with contextlib.suppress(OSError):
                forward()
            on_end(self)

        for forward in (self._to_server, self._to_client):
            threading.Thread(target=run, args=(forward,), daemon=True).start()

    def cut(self) -> None:
        """End both connections, also where a forked child holds the same sockets."""
        for end in (self._client, self._server):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _to_server(self) -> None:
        while data := self._client.recv(_CHUNK):
            self._proxy.hold()
            for message, is_commit in self._wire.client_messages(data):
                moment = self._proxy.meet_commit() if is_commit else None
                if moment == "before":
                    return
                # Set before the server has it, whose answer comes on the other thread.
                self._ends_with_this_answer |= moment == "after"
                self._server.sendall(message)

    def _to_client(self) -> None:
        while data := self._server.recv(_CHUNK):
            if self._ends_with_this_answer:
                if self._wire.ends_answer(data):
                    return
                continue
            self._proxy.hold()
            self._client.sendall(data)
