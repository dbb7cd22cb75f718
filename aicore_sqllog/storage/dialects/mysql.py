"""
MySQL and MariaDB: careful settings, because by default they store what does not fit cut, and say nothing.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Literal
from zlib import crc32

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.types import TypeEngine

from aicore_sqllog.errors import ConfigurationError, SchemaError
from aicore_sqllog.storage.dialects.fast_inserts import FastInsert, insert_by_driver
from aicore_sqllog.storage.dialects.generic import (
    CONNECT_SECONDS,
    MIGRATION_SECONDS,
    SOCKET_SECONDS,
    Driver,
    Drivers,
    GenericDialect,
    Purpose,
)
from aicore_sqllog.storage.dialects.json_members import JsonPart, JsonPath, MysqlJson
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

__all__ = ["MysqlDialect"]

_LOCK_SECONDS = 10
"""For rows, and for a table that a backup or an ALTER TABLE holds: an error that can be told from a lost server."""

# Without strict mode the server cuts what does not fit, and says nothing.
_SQL_MODES = ("STRICT_ALL_TABLES", "STRICT_TRANS_TABLES", "ERROR_FOR_DIVISION_BY_ZERO", "NO_ENGINE_SUBSTITUTION")
_SESSION: dict[str, Any] = {
    "character_set_client": "utf8mb4",  # utf8 is three bytes, and refuses each emoji
    "character_set_results": "utf8mb4",
    "collation_connection": "utf8mb4_bin",
    "time_zone": "+00:00",
    "autocommit": 0,
    "foreign_key_checks": 1,
    "sql_safe_updates": 0,  # refuses the insert that leaves rows that are there as they are
    "default_storage_engine": "InnoDB",  # others keep half of a batch that failed
    "max_sort_length": 1024,  # with less, names are sorted by how they begin
    "sql_select_limit": 2**64 - 1,  # a lower one cuts a frame, and says nothing
    "innodb_lock_wait_timeout": _LOCK_SECONDS,
    "lock_wait_timeout": _LOCK_SECONDS,
}
"""What a server, an ``init_command`` or a lender may have set otherwise."""

_MIGRATION_LOCK_SECONDS = 60
_HAVE_SOCKET_TIMEOUTS = ("pymysql", "mysqldb")
_ANSWER_SECONDS = {Purpose.WRITE: SOCKET_SECONDS, Purpose.MIGRATE: MIGRATION_SECONDS}

_UNKNOWN_DATABASE = 1049
_DATABASE_EXISTS = 1007


_EPOCH: sa.ColumnElement[Any] = sa.literal_column("TIMESTAMP '1970-01-01 00:00:00'")


_JSON = MysqlJson()


class MysqlDialect(GenericDialect):
    """A MySQL or MariaDB server, which SQLAlchemy tells apart on connecting."""

    names = ("mysql", "mariadb")
    drivers = Drivers(
        [Driver("pymysql", "pymysql"), Driver("mysqldb", "MySQLdb")],
        [Driver("asyncmy", "asyncmy"), Driver("aiomysql", "aiomysql")],
        "mysql",
    )

    def connect_args(self, driver: str, purpose: Purpose) -> Mapping[str, Any]:
        arguments = {"connect_timeout": CONNECT_SECONDS} if driver else {}
        if driver in _HAVE_SOCKET_TIMEOUTS and purpose in _ANSWER_SECONDS:
            seconds = _ANSWER_SECONDS[purpose]
            arguments |= {"read_timeout": seconds, "write_timeout": seconds}
        return arguments

    def required_connect_args(self, driver: str) -> Mapping[str, Any]:
        return {"charset": "utf8mb4"} if driver else {}

    def engine_settings(self, driver: str, purpose: Purpose) -> Mapping[str, Any]:
        settings = super().engine_settings(driver, purpose)
        if purpose is Purpose.READ:
            return settings
        return {**settings, "isolation_level": "READ COMMITTED"}  # the default locks gaps, and writers wait

    def prepare_engine(self, engine: Engine, url: URL, purpose: Purpose) -> None:
        import encodings.idna  # noqa: F401  # by connecting, if it is not imported here

        event.listen(engine, "connect", lambda connection, _record: _on_connect(connection, engine.dialect))

    def hold(self, connection: sa.Connection) -> Callable[[], None]:
        names = [*_SESSION, "sql_mode"]
        row = connection.exec_driver_sql("SELECT " + ", ".join(f"@@SESSION.{name}" for name in names)).one()
        found = dict(zip(names, row, strict=True))
        wanted = _wanted(found["sql_mode"], connection.dialect)
        changed = {name: value for name, value in wanted.items() if found[name] != value}
        _set_session(connection, changed)
        put_back_encoding = _use_utf8(connection.connection.dbapi_connection)

        def put_back() -> None:
            put_back_encoding()
            _set_session(connection, {name: found[name] for name in changed})

        return put_back

    @contextmanager
    def migration_lock(self, connection: sa.Connection, schema: str | None) -> Iterator[None]:
        database = schema or connection.engine.url.database or ""
        # Locks are the server's, and their names have 64 characters at most.
        lock = f"aicore_sqllog.{crc32(database.encode()):08x}"
        taken = connection.scalar(sa.select(sa.func.get_lock(lock, _MIGRATION_LOCK_SECONDS)))
        if taken != 1:
            raise SchemaError("Another process has been migrating the tables for a minute. This is tried again.")
        try:
            with _without_statement_limit(connection):
                yield
        finally:
            with suppress(SQLAlchemyError):  # it ends with the connection if that is gone
                connection.scalar(sa.select(sa.func.release_lock(lock)))

    def insert_ignoring(self, model: type[Any]) -> sa.Insert:
        # Never INSERT IGNORE, which also stores what does not fit cut, and drops a row whose parent is missing.
        (key,) = sa.inspect(model).primary_key
        return mysql.insert(model).on_duplicate_key_update({key.name: key})

    def fast_insert(self, connection: sa.Connection) -> FastInsert | None:
        # Its statements are texts, in which SQLAlchemy puts no other schema and no other marks.
        is_elsewhere = connection.get_execution_options().get("schema_translate_map")
        takes_positions = connection.dialect.paramstyle in ("format", "pyformat")
        return insert_by_driver if takes_positions and not is_elsewhere else None

    def largest_row(self, connection: sa.Connection) -> int | None:
        return int(connection.exec_driver_sql("SELECT @@max_allowed_packet").scalar_one())

    def read_error(self, error: BaseException) -> Verdict | None:
        number = _number_of(error)
        return None if number is None else _VERDICTS.get(number, TRANSIENT)

    def error_text(self, error: BaseException) -> str | None:
        number = _number_of(error)
        if number is None:
            return None
        text = str(error.args[1])
        return _QUOTED.sub("'…'", text) if number in _QUOTE_VALUES else text

    def says_database_is_missing(self, url: URL, error: DBAPIError) -> bool:
        arguments = getattr(error.orig, "args", ()) or (None,)
        return bool(arguments[0] == _UNKNOWN_DATABASE)

    def create_database(self, url: URL) -> Literal["created", "there"]:
        from sqlalchemy_utils import create_database

        try:
            create_database(url, encoding="utf8mb4")
        except DBAPIError as exc:
            if exc.orig is not None and exc.orig.args[:1] == (_DATABASE_EXISTS,):
                return "there"
            raise
        return "created"

    def identifier(self) -> TypeEngine[Any]:
        return mysql.CHAR(36, charset="ascii", collation="ascii_bin")

    def instant(self) -> TypeEngine[Any]:
        return mysql.DATETIME(fsp=6)

    def plain_instant(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return sa.func.timestampdiff(sa.literal_column("MICROSECOND"), _EPOCH, column)

    def unix_seconds(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
        # Of seconds themselves the server would drop the fraction, also before 1970.
        micros = sa.func.timestampdiff(sa.literal_column("MICROSECOND"), _EPOCH, column)
        return sa.cast(sa.func.floor(micros / sa.literal_column("1000000")), sa.BigInteger)

    def whole_division(self, dividend: str, divisor: str) -> str:
        return f"({dividend} DIV {divisor})"  # a quotient by / is rounded to four places

    def json_equals(self, path: JsonPath, value: JsonPart) -> str:
        return _JSON.equals(path, value)

    def json_is_null(self, path: JsonPath) -> str:
        return _JSON.is_null(path)

    def json_text(self, path: JsonPath, dialect: sa.Dialect) -> str:
        return _JSON.text(path, _collation(dialect))

    def text_position(self, column: sa.ColumnElement[Any], text: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
        return sa.func.locate(text, column)

    def text(self, dialect: sa.Dialect, length: int | None) -> TypeEngine[Any]:
        # Other collations take GPT-4, or `gpt-4 `, for gpt-4; utf8mb4_bin ignores spaces at the end.
        collation = _collation(dialect)
        if length is None:
            return mysql.LONGTEXT(charset="utf8mb4", collation=collation)
        return mysql.VARCHAR(length, charset="utf8mb4", collation=collation)


def _collation(dialect: sa.Dialect) -> str:
    return "utf8mb4_nopad_bin" if getattr(dialect, "is_mariadb", False) else "utf8mb4_0900_bin"


@contextmanager
def _without_statement_limit(connection: sa.Connection) -> Iterator[None]:
    """Let a statement take what it takes: MariaDB's limit, unlike MySQL's, is for an index on a large table too."""
    if not getattr(connection.dialect, "is_mariadb", False):
        yield
        return
    found = connection.exec_driver_sql("SELECT @@SESSION.max_statement_time").scalar_one()
    connection.exec_driver_sql("SET SESSION max_statement_time = 0")
    try:
        yield
    finally:
        with suppress(SQLAlchemyError):
            connection.exec_driver_sql(f"SET SESSION max_statement_time = {found}")


def _set_session(connection: sa.Connection, values: Mapping[str, Any]) -> None:
    if values:
        setters = ", ".join(f"SESSION {name} = :{name}" for name in values)
        connection.execute(sa.text(f"SET {setters}"), dict(values))
    connection.rollback()  # nothing of ours is open: what follows begins its own


def _on_connect(connection: Any, dialect: sa.Dialect) -> None:
    cursor = connection.cursor()
    try:
        cursor.execute("SELECT @@sql_mode")
        values = _wanted(cursor.fetchone()[0], dialect)
        del values["autocommit"]  # the driver's to say
        cursor.execute("SET " + ", ".join(f"SESSION {name} = {value!r}" for name, value in values.items()))
    finally:
        cursor.close()
    _use_utf8(connection)


def _wanted(found_sql_mode: str, dialect: sa.Dialect) -> dict[str, Any]:
    # Quotes are read as SQLAlchemy writes them, which it decided on its first connection; backslashes as they were.
    modes = [*_SQL_MODES, *(["ANSI_QUOTES"] if dialect.identifier_preparer.initial_quote == '"' else [])]
    kept = [mode for mode in str(found_sql_mode).split(",") if mode == "NO_BACKSLASH_ESCAPES"]
    return {**_SESSION, "sql_mode": ",".join([*modes, *kept])}


def _use_utf8(connection: Any) -> Callable[[], None]:
    """Have the driver itself write and read UTF-8; the server is told by the session's variables."""
    driver = getattr(connection, "driver_connection", connection)
    encoding = str(getattr(driver, "encoding", "utf8"))
    if encoding.replace("-", "").lower().startswith("utf8"):
        return lambda: None
    try:
        driver.encoding = "utf8"
    except AttributeError:
        raise ConfigurationError(
            f"The lent engine's connections use the character set {encoding}, in which not every text can be stored. "
            "Give it a URL with ?charset=utf8mb4."
        ) from None
    return lambda: setattr(driver, "encoding", encoding)


def _number_of(error: BaseException) -> int | None:
    """Return the error number that MySQL's drivers give as the first of two arguments."""
    if len(error.args) != 2 or isinstance(error, OSError):
        return None
    number, text = error.args
    return number if isinstance(number, int) and isinstance(text, str) else None


_QUOTE_VALUES = (1062, 1064, 1292, 1366)
"""Errors that quote the value, or a piece of the statement with its values."""

_QUOTED = re.compile("'.*'", re.DOTALL)

_VERDICTS: Mapping[int, Verdict] = {
    **dict.fromkeys((1020, 1205, 1213, 1684), CONTENTION),
    **dict.fromkeys((1044, 1142, 1143, 1227, 1370), RIGHTS),
    **dict.fromkeys((1045, 1698, 1251), PASSWORD),
    1049: NO_DATABASE,
    **dict.fromkeys((1054, 1146), NO_TABLES),
    **dict.fromkeys((1290, 1792, 1836), READ_ONLY),
    **dict.fromkeys((1021, 1114), DISK_FULL),
    **dict.fromkeys((1153, 1301), OVERSIZE),
    **dict.fromkeys((2002, 2003, 2005), UNREACHABLE),
    **dict.fromkeys((1048, 1062, 1264, 1265, 1292, 1364, 1366, 1406, 1451, 1452, 1526, 1644, 3140, 3819, 4025), POISON),
}
"""By error number."""
