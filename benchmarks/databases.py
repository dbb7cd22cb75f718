"""
Databases to measure on: each is made for one run and dropped after it.

SQLite in a temporary folder; PostgreSQL and MariaDB at ``BENCH_POSTGRESQL`` and ``BENCH_MYSQL``, else on this machine.
"""

import contextlib
import os
import socket
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

__all__ = ["SERVERS", "has_server", "new_database"]

SERVERS = {
    "postgresql": os.environ.get("BENCH_POSTGRESQL", "postgresql://root@127.0.0.1:5432/postgres"),
    "mysql": os.environ.get("BENCH_MYSQL", "mysql://root@127.0.0.1:3306/"),
}
_ADMINISTRATOR = {"postgresql": "postgresql+psycopg2", "mysql": "mysql+pymysql"}


def has_server(driver: str) -> bool:
    """Whether there is a server for URLs that begin with *driver*."""
    backend = driver.partition("+")[0]
    if backend == "sqlite":
        return True
    host, _, port = SERVERS[backend].partition("@")[2].partition("/")[0].partition(":")
    try:
        socket.create_connection((host, int(port or (5432 if backend == "postgresql" else 3306))), 2).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def new_database(driver: str) -> Iterator[str]:
    """Yield the URL, which begins with *driver*, of a new database."""
    name = f"bench_{uuid.uuid4().hex[:12]}"
    if driver == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{Path(folder) / name}.db"
        return
    import sqlalchemy as sa

    backend = driver.partition("+")[0]
    server = sa.make_url(SERVERS[backend]).set(drivername=_ADMINISTRATOR[backend])
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        yield server.set(drivername=driver, database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name}" + (" WITH (FORCE)" if backend == "postgresql" else ""))
