"""The fault proxy: it finds COMMIT by the protocols' framing, and only there."""

import struct
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from tests.support.proxy import FaultProxy, MySQLWire, PostgreSQLWire, Wire


def postgresql(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def mysql(number: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "little") + bytes([number]) + body


POSTGRESQL = [
    (struct.pack("!ii", 8, 80877103), False),
    (struct.pack("!ii", 12, 196608) + b"user", False),
    (postgresql(b"Q", b"INSERT INTO t VALUES ('COMMIT')\0"), False),
    (postgresql(b"Q", b"commit;\0"), True),
    (postgresql(b"Q", b"COMMIT\0"), False),
    (postgresql(b"P", b"one\0INSERT INTO t VALUES ($1)\0\0\0"), False),
    (postgresql(b"B", b"\0one\0\0\0\0\0\0\0"), False),
    (postgresql(b"E", b"\0\0\0\0\0"), False),
    (postgresql(b"P", b"\0COMMIT\0\0\0"), False),
    (postgresql(b"B", b"\0\0\0\0\0\0\0\0"), False),
    (postgresql(b"E", b"\0\0\0\0\0"), True),
    (postgresql(b"S", b""), False),
    (postgresql(b"P", b"\0SELECT 1\0\0\0"), False),
    (postgresql(b"B", b"\0\0\0\0\0\0\0\0"), False),
    (postgresql(b"E", b"\0\0\0\0\0"), False),
]
MYSQL = [
    (mysql(1, b"\x03COMMIT"), False),
    (mysql(0, b"\x03INSERT INTO t VALUES ('COMMIT')"), False),
    (mysql(0, b"\x03COMMIT"), True),
    (mysql(0, b"\x03COMMIT"), False),
    (mysql(0, b"\x03INSERT INTO t VALUES (1)"), False),
    (mysql(0, b"\x16COMMIT"), False),
]


@pytest.mark.parametrize("chunk", [1, 3, 7, 10_000])
@pytest.mark.parametrize(
    ("wire", "messages"), [(PostgreSQLWire, POSTGRESQL), (MySQLWire, MYSQL)], ids=["postgresql", "mysql"]
)
def test_commit_is_found_wherever_the_stream_is_split(
    wire: type[Wire], messages: list[tuple[bytes, bool]], chunk: int
) -> None:
    stream, reader = b"".join(message for message, _ in messages), wire()
    found = [pair for at in range(0, len(stream), chunk) for pair in reader.client_messages(stream[at : at + chunk])]
    assert found == messages


@pytest.mark.backends("postgresql+psycopg2", "postgresql+psycopg", "mysql+pymysql")
def test_a_cut_before_commit_stores_nothing_and_one_after_it_all(url: str) -> None:
    with FaultProxy(make_url(url)) as proxy:
        engine = sa.create_engine(proxy.through(make_url(url)), poolclass=NullPool)

        def insert(number: int) -> None:
            with engine.begin() as connection:
                connection.exec_driver_sql(f"INSERT INTO t VALUES ({number}, 'COMMIT')")

        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE t (a INT PRIMARY KEY, b VARCHAR(20))")
        proxy.cut_at_commit("before", "after")
        for number in (1, 2):
            with pytest.raises(sa.exc.OperationalError):
                insert(number)
        insert(3)
        with engine.connect() as connection:
            stored = connection.exec_driver_sql("SELECT a FROM t ORDER BY a").scalars().all()
        assert stored == [2, 3]
        assert proxy.cuts == ["before", "after"]


@pytest.mark.backends("postgresql+psycopg2", "mysql+pymysql")
def test_it_refuses_cuts_and_takes_again_on_the_same_port(url: str) -> None:
    with FaultProxy(make_url(url)) as proxy:
        engine = sa.create_engine(proxy.through(make_url(url)), poolclass=NullPool)
        with engine.connect() as connection:
            proxy.refuse()
            connection.exec_driver_sql("SELECT 1")
            proxy.cut()
            with pytest.raises(sa.exc.OperationalError):
                connection.exec_driver_sql("SELECT 1")
        with pytest.raises(sa.exc.OperationalError):
            engine.connect()
        proxy.accept()
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT 1")


@pytest.mark.backends("postgresql+psycopg2", "mysql+pymysql")
def test_what_it_swallows_is_taken_and_not_answered_until_it_is_told(url: str) -> None:
    with FaultProxy(make_url(url)) as proxy, ThreadPoolExecutor(1) as pool:
        engine = sa.create_engine(proxy.through(make_url(url)), poolclass=NullPool)

        def ask() -> object:
            with engine.connect() as connection:
                return connection.exec_driver_sql("SELECT 1").scalar()

        proxy.swallow()
        asked = pool.submit(ask)
        with pytest.raises(TimeoutError):
            asked.result(0.2)
        proxy.answer()
        assert asked.result(30) == 1
