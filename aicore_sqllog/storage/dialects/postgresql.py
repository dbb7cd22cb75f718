"""
PostgreSQL: made for poolers too, which give each transaction another server connection and refuse start-up options.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal
from zlib import crc32

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool
from sqlalchemy.types import TypeEngine

from aicore_sqllog.errors import ConfigurationError, DatabaseError
from aicore_sqllog.storage.dialects.copying import copied_csv
from aicore_sqllog.storage.dialects.fast_inserts import FastInsert, insert_from_json
from aicore_sqllog.storage.dialects.generic import (
    CONNECT_SECONDS,
    MIGRATION_SECONDS,
    SOCKET_SECONDS,
    Driver,
    Drivers,
    GenericDialect,
    Purpose,
)
from aicore_sqllog.storage.dialects.json_members import JsonPart, JsonPath, PostgresqlJson
from aicore_sqllog.storage.kinds import (
    CONTENTION,
    DISK_FULL,
    NO_DATABASE,
    NO_TABLES,
    OVERSIZE,
    PASSWORD,
    POISON,
    READ_ONLY,
    RIGHTS,
    TRANSIENT,
    UNREACHABLE,
    Verdict,
)

__all__ = ["PostgresqlDialect"]

_LIBPQ = {"connect_timeout": CONNECT_SECONDS, "tcp_user_timeout": SOCKET_SECONDS * 1000}
# Poolers in transaction mode give each transaction another server connection, where a statement that
# was prepared before is unknown: nothing is prepared under a name.
_CONNECT_ARGS: Mapping[str, Mapping[str, Any]] = {
    "psycopg2": _LIBPQ,
    "psycopg": {**_LIBPQ, "prepare_threshold": None},
    "asyncpg": {
        "timeout": CONNECT_SECONDS,
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": lambda: "",
    },
}
_ASYNCPG_COMMAND_SECONDS = {Purpose.WRITE: SOCKET_SECONDS, Purpose.MIGRATE: MIGRATION_SECONDS}

_SSL_MODE = {"sslmode": "ssl"}
_ASYNCPG_TAKES = frozenset({"ssl", "host", "port", "passfile", "target_session_attrs", "direct_tls"})
_ASYNCPG_ALONE = frozenset(
    {"timeout", "command_timeout", "statement_cache_size", "prepared_statement_cache_size", "direct_tls"}
)

_SESSION = {
    "client_encoding": "UTF8",  # in SQL_ASCII psycopg gives bytes, and psycopg2 takes ASCII only
    "DateStyle": "ISO, MDY",  # psycopg reads instants in no other
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",  # east of UTC the end of the year 9999 is past what Python's dates hold
    "extra_float_digits": "1",  # with 0 or less a cost comes back rounded
}
"""
What a server, a database, a role, a pooler or a lender may have set otherwise.

Not how backslashes in texts are read (``standard_conforming_strings``): psycopg2 and SQLAlchemy write them as it was
when they connected.
"""

_HOLD_EVERY_TEXT = ("UTF8", "SQL_ASCII")
"""Encodings of databases. The second keeps whatever bytes it gets, and gets UTF-8 from us."""

_WRITER_LIMITS = {"statement_timeout": "60s", "lock_timeout": "10s", "idle_in_transaction_session_timeout": "60s"}
_MIGRATION_LIMITS = {"statement_timeout": "0", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0"}

_UNKNOWN_DATABASE = "3D000"
_MAINTENANCE_DATABASE = "postgres"
_CREATION_LOCK = 0x11A10610
"""The number of a lock on the server, so that of many processes that start at once one creates the database."""


_FIRST_INSTANT: sa.ColumnElement[Any] = sa.literal_column("TIMESTAMPTZ '0001-01-01 00:00:00+00'")
_LAST_INSTANT: sa.ColumnElement[Any] = sa.literal_column("TIMESTAMPTZ '9999-12-31 23:59:59.999999+00'")
"""What a datetime can hold: a ``timestamptz`` may also lie before Christ, after 9999, or be infinite."""


_JSON = PostgresqlJson()


class PostgresqlDialect(GenericDialect):
    """A PostgreSQL server, behind a pooler or not."""

    names = ("postgresql",)
    drivers = Drivers(
        [Driver("psycopg", "psycopg"), Driver("psycopg2", "psycopg2")],
        [Driver("psycopg", "psycopg"), Driver("asyncpg", "asyncpg")],
        "postgres",
    )
    instants_have_zones = True
    waits_for_stored_rows = False

    def translated(self, url: URL, old: str, new: str) -> URL:
        if new == "asyncpg" and old != "asyncpg":
            query = {_SSL_MODE.get(name, name): value for name, value in url.query.items()}
            return url.set(query={name: value for name, value in query.items() if name in _ASYNCPG_TAKES})
        if old == "asyncpg" and new != "asyncpg":
            names = {ours: libpq for libpq, ours in _SSL_MODE.items()}
            return url.set(query={names.get(n, n): value for n, value in url.query.items() if n not in _ASYNCPG_ALONE})
        return url

    def connect_args(self, driver: str, purpose: Purpose) -> Mapping[str, Any]:
        own = _CONNECT_ARGS.get(driver, {})
        if driver == "asyncpg" and purpose in _ASYNCPG_COMMAND_SECONDS:
            return {**own, "command_timeout": _ASYNCPG_COMMAND_SECONDS[purpose]}
        return own

    def required_connect_args(self, driver: str) -> Mapping[str, Any]:
        return {"client_encoding": "utf8"} if driver in ("psycopg", "psycopg2") else {}

    def engine_settings(self, driver: str, purpose: Purpose) -> Mapping[str, Any]:
        settings = super().engine_settings(driver, purpose)
        # Without this psycopg2 sends an insert that ignores conflicts row by row.
        return {**settings, "executemany_mode": "values_plus_batch"} if driver == "psycopg2" else settings

    def prepare_engine(self, engine: Engine, url: URL, purpose: Purpose) -> None:
        event.listen(engine, "connect", lambda connection, _record: _use_utf8(connection))

    def hold(self, connection: sa.Connection) -> Callable[[], None]:
        put_back_encoding = _use_utf8(connection.connection.dbapi_connection)
        put_back_autocommit = super().hold(connection)

        def put_back() -> None:
            put_back_autocommit()
            put_back_encoding()

        return put_back

    def begin(self, connection: sa.Connection, purpose: Purpose) -> None:
        _set_locally(connection, _SESSION if purpose is Purpose.READ else {**_SESSION, **_WRITER_LIMITS})

    @contextmanager
    def migration_lock(self, connection: sa.Connection, schema: str | None) -> Iterator[None]:
        # Until the end of the transaction, which a pooler in transaction mode keeps on one connection.
        key = crc32(f"aicore_sqllog/{schema or ''}".encode())
        _set_locally(connection, _MIGRATION_LIMITS)
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({key})")
        # What waits for a table makes all who come later wait: the next attempt is better than a long queue.
        _set_locally(connection, {"lock_timeout": _WRITER_LIMITS["lock_timeout"]})
        yield

    def go_by_keys(self, connection: sa.Connection) -> None:
        # Of a table that was filled and not analysed since, it reads all for some sixty rows.
        _set_locally(connection, {"enable_seqscan": "off"})

    def insert_ignoring(self, model: type[Any]) -> sa.Insert:
        return postgresql.insert(model).on_conflict_do_nothing()

    def refuse_unfit(self, connection: sa.Connection) -> None:
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
        if encoding not in _HOLD_EVERY_TEXT:
            raise ConfigurationError(
                f"The database {connection.engine.url.database!r} keeps texts in {encoding}, in which not every text "
                "can be stored, and that cannot be changed. Give one that was created with ENCODING 'UTF8'."
            )

    def fast_insert(self, connection: sa.Connection) -> FastInsert | None:
        return insert_from_json

    def read_error(self, error: BaseException) -> Verdict | None:
        state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
        if isinstance(state, str):
            return _VERDICTS.get(state) or _VERDICTS.get(state[:2], TRANSIENT)
        if not hasattr(error, "sqlstate") and not hasattr(error, "pgcode"):
            return None
        # Without a code it was met on connecting: what a server said follows "FATAL:", else there was none to say it.
        _, has_answered, said = str(error).partition("FATAL:")
        verdicts = (verdict for words, verdict in _LIBPQ_TEXTS if words in said)
        return next(verdicts, None) if has_answered else UNREACHABLE if _is_operational(error) else None

    def says_database_is_missing(self, url: URL, error: DBAPIError) -> bool:
        if getattr(error.orig, "sqlstate", None) == _UNKNOWN_DATABASE:
            return True
        # On connecting, libpq gives a text and no code; in every language it quotes the database's name.
        return bool(url.database) and f'"{url.database}"' in str(error.orig).partition("failed: ")[2]

    def create_database(self, url: URL) -> Literal["created", "there"]:
        from sqlalchemy_utils import create_database

        server = sa.create_engine(url.set(database=_MAINTENANCE_DATABASE), poolclass=NullPool)
        databases = sa.table("pg_database", sa.column("datname", sa.String))
        with server.begin() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_CREATION_LOCK})")
            found = sa.select(databases.c.datname).where(databases.c.datname == url.database)
            if connection.scalar(found) is not None:
                return "there"
            may_create = "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
            if not connection.exec_driver_sql(may_create).scalar():
                raise DatabaseError(
                    f"There is no database {url.database!r}, and the user {url.username!r} may not create it. "
                    "Create it, or give another user in the connection."
                )
            create_database(url)
        return "created"

    def identifier(self) -> TypeEngine[Any]:
        return postgresql.UUID(as_uuid=False)

    def instant(self) -> TypeEngine[Any]:
        return sa.DateTime(timezone=True)

    def json(self) -> TypeEngine[Any]:
        return postgresql.JSONB(none_as_null=True)

    def plain_instant(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return sa.cast(sa.extract("epoch", _held(column)) * 1000000, sa.BigInteger)

    def unix_seconds(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
        return sa.cast(sa.func.floor(sa.extract("epoch", _held(column))), sa.BigInteger)

    def percentiles(self, column: sa.ColumnElement[Any], fractions: Sequence[float]) -> sa.ColumnElement[Any] | None:
        wanted: sa.ColumnElement[Any] = sa.literal_column(
            f"ARRAY[{', '.join(map(repr, fractions))}]::double precision[]"
        )
        return sa.func.percentile_disc(wanted, type_=sa.ARRAY(sa.BigInteger)).within_group(column)

    def json_equals(self, path: JsonPath, value: JsonPart) -> str:
        return _JSON.equals(path, value)

    def json_is_null(self, path: JsonPath) -> str:
        return _JSON.is_null(path)

    def json_text(self, path: JsonPath, dialect: sa.Dialect) -> str:
        return _JSON.text(path)

    def copied_csv(self, connection: sa.Connection, select: sa.Select[Any]) -> bytes | None:
        return copied_csv(connection, select)

    def text_position(self, column: sa.ColumnElement[Any], text: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
        return sa.func.strpos(column, text)

    def by_code_point(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return column.collate("C")


def _held(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Return the instant nearest to *column* that a datetime can hold; of NULL, which both functions ignore, NULL."""
    return sa.case((column.is_not(None), sa.func.least(sa.func.greatest(column, _FIRST_INSTANT), _LAST_INSTANT)))


def _use_utf8(connection: Any) -> Callable[[], None]:
    """Have psycopg2 speak UTF-8: unlike other drivers, it does not see what a transaction sets."""
    found = getattr(connection, "encoding", None)
    if not hasattr(connection, "set_client_encoding") or found == "UTF8":
        return lambda: None
    connection.set_client_encoding("UTF8")
    return lambda: connection.set_client_encoding(found)


def _set_locally(connection: sa.Connection, settings: Mapping[str, str]) -> None:
    """Make *settings* hold until the end of the transaction, as a pooler in transaction mode demands."""
    calls = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items())
    connection.exec_driver_sql(f"SELECT {calls}")


_VERDICTS: Mapping[str, Verdict] = {
    "40": CONTENTION,
    "55P03": CONTENTION,
    "25006": READ_ONLY,
    "28": PASSWORD,
    "3D": NO_DATABASE,
    "3F": NO_TABLES,
    "42501": RIGHTS,
    "42": NO_TABLES,
    "53100": DISK_FULL,
    "54": OVERSIZE,
    "21": POISON,
    "22": POISON,
    "23": POISON,
    **dict.fromkeys(("27", "38", "39", "44", "P0"), POISON),  # a trigger's, a function's, a view's refusal
}
"""By SQLSTATE, or its first two characters."""


def _is_operational(error: BaseException) -> bool:
    return any(kind.__name__ == "OperationalError" for kind in type(error).__mro__)


_LIBPQ_TEXTS = (
    ("password", PASSWORD),
    ("role ", PASSWORD),
    ("database ", NO_DATABASE),
    ("pg_hba.conf", RIGHTS),
)
"""On connecting libpq gives no code; what the server said follows ``FATAL:``."""
