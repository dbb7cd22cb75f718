"""The tables: made, brought up and down, mended after a crash, recognised, refused; beside the owner's own."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from aicore_sqllog import SchemaError, SQLLogHandler, metadata, polars_from_db
from aicore_sqllog.cli import main
from aicore_sqllog.storage.connection import resolve
from aicore_sqllog.storage.database import Database
from aicore_sqllog.storage.engines import open_database
from aicore_sqllog.storage.migrate import downgrade, ensure_schema, upgrade
from aicore_sqllog.storage.revisions import HEAD, VERSION_TABLE, look
from tests.conftest import MakeHandler
from tests.support.servers import ONE_OF_EACH, engine_of, execute

CALL = {"llm": {"provider": "p", "model": "m", "messages": "q", "response": "a"}}


@contextmanager
def opened(url: str) -> Iterator[Database]:
    database = open_database(resolve(url))
    try:
        yield database
    finally:
        database.close()


def ensure(url: str, mode: Any = "auto", say: Callable[[str], None] = lambda text: None) -> None:
    with opened(url) as database:
        database.run(lambda connection: ensure_schema(connection, None, mode, say))


def differences(url: str) -> list[Any]:
    """Return what Alembic's autogenerate finds between the tables and the models."""
    ours = {table.name for table in metadata.tables.values()}

    def find(connection: sa.Connection) -> list[Any]:
        options = {
            "include_name": lambda name, kind, parents: kind != "table" or name in ours,
            "version_table": VERSION_TABLE,
            "compare_type": lambda context, inspected, model, found, wanted: (
                kind_of(found, context.dialect) != kind_of(wanted, context.dialect)
            ),
        }
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    def kind_of(column_type: Any, dialect: Any) -> str:
        """Return the type as the server tells it, where MariaDB's JSON is a LONGTEXT."""
        text = str(column_type.compile(dialect=dialect)).split(" COLLATE")[0].split(" CHARACTER SET")[0]
        text = {"INTEGER(11)": "INTEGER", "BIGINT(20)": "BIGINT"}.get(text, text)
        return "LONGTEXT" if text == "JSON" and dialect.name == "mysql" else text

    with opened(url) as database:
        return database.run(find)


def test_the_migrated_tables_are_those_of_the_models(url: str) -> None:
    for _ in range(2):
        ensure(url)
        assert differences(url) == []
        with opened(url) as database:
            assert database.run(lambda connection: look(connection, None)).stamped == HEAD
            database.run(lambda connection: downgrade(connection, None, "0001"))
            assert database.run(lambda connection: look(connection, None)).shown == "0001"
            database.run(downgrade)
            assert database.run(lambda connection: look(connection, None)).revision is None


def test_the_models_made_by_the_owner_are_taken_as_they_are(url: str) -> None:
    with opened(url) as database:
        database.run(metadata.create_all)
    ensure(url, "check")
    assert differences(url) == []
    ensure(url, "auto")
    with opened(url) as database:
        assert database.run(lambda connection: look(connection, None)).stamped == HEAD


@ONE_OF_EACH
def test_rows_of_the_documented_tables_are_kept(url: str, make_handler: MakeHandler, log: logging.Logger) -> None:
    with opened(url) as database:
        database.run(lambda connection: upgrade(connection, None, "0001"))
    session, operation = "0" * 35 + "1", "0" * 35 + "2"
    session, operation = (f"00000000-0000-4000-8000-00000000000{digit}" for digit in "12")
    execute(url, f"INSERT INTO llm_sessions (session_id, workspace) VALUES ('{session}', 'old')")
    execute(
        url,
        "INSERT INTO llm_operations (operation_id, session_id, timestamp, model) "
        f"VALUES ('{operation}', '{session}', '2026-01-01 00:00:00.000001', 'm')",
    )
    if url.startswith("sqlite"):
        execute(url, f"DROP TABLE {VERSION_TABLE}")  # as if they had been made by other means
    handler = make_handler()
    log.info("new", extra=CALL)
    assert handler.flush()
    frame = polars_from_db(url)
    assert frame["model"].to_list() == ["m", "m"]
    assert frame["operation_id"][0] == operation
    assert str(frame["timestamp"][0]) == "2026-01-01 00:00:00.000001+00:00"


class _Killed(BaseException):
    pass


def _run_until(database: Database, work: Callable[[sa.Connection], object], last: int) -> bool:
    """Do *work* until it has changed something *last* times, then cut the connection; return whether it was done."""
    engine = engine_of(database)
    count = 0

    def cut(connection: sa.Connection, cursor: object, statement: str, *_arguments: object) -> None:
        nonlocal count
        count += statement.split()[0] in ("CREATE", "ALTER", "DROP", "INSERT", "UPDATE", "DELETE")
        if count > last:
            connection.invalidate()
            raise _Killed

    sa.event.listen(engine, "before_cursor_execute", cut)
    try:
        database.run(work)
    except _Killed:
        return False
    finally:
        sa.event.remove(engine, "before_cursor_execute", cut)
    return True


@pytest.mark.slow
@ONE_OF_EACH
@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([], id="up"),
        pytest.param([upgrade, downgrade], id="down", marks=pytest.mark.long),
        # Parts of the ways above.
        pytest.param([lambda connection: upgrade(connection, None, "0001")], id="up from 0001", marks=pytest.mark.long),
        pytest.param(
            [upgrade, lambda connection: downgrade(connection, None, "0001")], id="down to 0001", marks=pytest.mark.long
        ),
    ],
)
def test_a_migration_that_is_killed_between_any_two_statements_is_mended_by_the_next_start(
    steps: list[Callable[[sa.Connection], object]], url: str
) -> None:
    *before, killed = steps or [upgrade]
    reached, last = False, 0
    while not reached:
        with opened(url) as database:
            database.run(downgrade)
            for step in before:
                database.run(step)
            reached = _run_until(database, killed, last)
        ensure(url)
        assert differences(url) == []
        last += 1
    assert last > 8


@ONE_OF_EACH
def test_check_refuses_older_tables_and_off_does_not_look(url: str) -> None:
    for revision, told in ((None, "there are none"), ("0001", "they are at revision 0001")):
        if revision:
            with opened(url) as database:
                database.run(lambda connection: upgrade(connection, None, "0001"))
        with pytest.raises(SchemaError, match=f"{told}.*needs {HEAD}.*aicore-sqllog upgrade"):
            ensure(url, "check")
    ensure(url, "off")
    with opened(url) as database:
        assert database.run(lambda connection: look(connection, None)).revision == "0001"


@ONE_OF_EACH
def test_later_tables_that_only_add_are_written_to_and_others_refused(
    url: str, make_handler: MakeHandler, log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    ensure(url)
    execute(url, f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    execute(url, "ALTER TABLE llm_operations ADD COLUMN mood VARCHAR(10)")
    handler = make_handler()
    for _ in range(2):
        log.info("rolling deploy", extra=CALL)
        assert handler.flush()
    assert capsys.readouterr().err.count("at revision 9999") == 1

    execute(url, "ALTER TABLE llm_messages ADD COLUMN needed INTEGER NOT NULL DEFAULT 0")
    ensure(url)
    execute(url, "ALTER TABLE llm_messages DROP COLUMN role")
    with pytest.raises(SchemaError, match=r"9999.*llm_messages lacks \['role'\].*Upgrade aicore-sqllog"):
        ensure(url)


@ONE_OF_EACH
def test_tables_of_another_program_are_refused_and_records_wait(
    url: str, make_handler: MakeHandler, log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(url, "CREATE TABLE llm_messages (id INTEGER)")
    handler = make_handler()
    log.info("waits", extra=CALL)
    assert handler.flush(0.5) is False
    assert "The table llm_messages is not ours" in capsys.readouterr().err
    execute(url, "DROP TABLE llm_messages")
    assert handler.flush(60) is True
    assert handler.stats().committed == 1


@ONE_OF_EACH
def test_the_owner_s_alembic_and_ours_do_not_see_each_other(url: str, tmp_path: Path) -> None:
    """The README's way: the owner's ``env.py`` leaves our names alone; our migrations know no others."""
    from alembic import command
    from alembic.config import Config

    versions = tmp_path / "versions"
    versions.mkdir()
    (tmp_path / "env.py").write_text(
        "import sqlalchemy as sa\n"
        "from alembic import context\n"
        "import aicore_sqllog\n"
        "ours = {table.name for table in aicore_sqllog.metadata.sorted_tables} | {'aicore_sqllog_version'}\n"
        "mine = sa.MetaData()\n"
        "sa.Table('customers', mine, sa.Column('id', sa.Integer, primary_key=True))\n"
        "engine = sa.create_engine(context.config.attributes['url'])\n"
        "with engine.connect() as connection:\n"
        "    context.configure(connection=connection, target_metadata=mine,\n"
        "        include_name=lambda name, kind, parents: not (kind == 'table' and name in ours))\n"
        "    with context.begin_transaction():\n"
        "        context.run_migrations()\n"
        "engine.dispose()\n"
    )
    (tmp_path / "script.py.mako").write_text(
        "revision = ${repr(up_revision)}\ndown_revision = ${repr(down_revision)}\n"
        "from alembic import op\nimport sqlalchemy as sa\n"
        "def upgrade():\n    ${upgrades if upgrades else 'pass'}\ndef downgrade():\n    pass\n"
    )
    config = Config(attributes={"url": url})
    config.set_main_option("script_location", str(tmp_path).replace("%", "%%"))
    config.set_main_option("path_separator", "os")

    ensure(url)
    command.revision(config, "theirs", autogenerate=True)
    (revision,) = versions.glob("*.py")
    assert "create_table('customers'" in revision.read_text()
    assert "llm_" not in revision.read_text()
    command.upgrade(config, "head")
    ensure(url)
    assert differences(url) == []
    with opened(url) as database:
        database.run(downgrade)
    assert execute(url, "SELECT count(*) FROM customers") == [(0,)]
    assert len(execute(url, "SELECT version_num FROM alembic_version")) == 1


def test_the_command_line(url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*arguments: str) -> tuple[int, str, str]:
        code = main([*arguments, "--connection", url])
        captured = capsys.readouterr()
        return code, captured.out.strip(), captured.err.strip()

    if not url.startswith("sqlite"):
        assert run("current") == (0, "none", "")
    assert run("check")[0] == 1
    assert run("upgrade", "0001")[1].endswith("is at revision 0001")
    code, _, told = run("check")
    assert (code, "aicore-sqllog upgrade" in told) == (1, True)
    assert run("upgrade")[0] == 0
    assert run("check") == (0, "", "")
    assert run("current") == (0, HEAD, "")
    assert run("downgrade", "base")[0] == 2  # nobody is there to be asked
    assert run("current") == (0, HEAD, "")
    code, told, _ = run("downgrade", "base", "--yes")
    assert code == 0
    assert "drops the table llm_operations with 0 rows" in told
    assert run("current") == (0, "none", "")
    assert sys.argv  # untouched


@pytest.mark.parametrize("command", ["current", "check"])
def test_what_only_looks_creates_nothing(command: str, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--connection", f"sqlite:///{path}"]) in (1, 2)
    assert "There is no log at" in capsys.readouterr().err
    assert list(path.parent.iterdir()) == []


def test_a_downgrade_says_what_it_drops_and_asks(
    url: str, path: Path, make_handler: MakeHandler, log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = make_handler()
    log.info("call", extra={"llm": {**CALL["llm"], "user_id": "u"}})
    assert handler.flush()
    handler.close()
    connection = ("--connection", url)
    assert main(["downgrade", "0001", *connection]) == 2  # nobody is there to be asked
    told = capsys.readouterr()
    assert "drops the column llm_operations.user_id with 1 value\n" in told.out
    assert "drops the table llm_log_losses with 0 rows\n" in told.out
    assert "--yes" in told.err
    assert main(["check", *connection]) == 0
    assert main(["downgrade", "0001", "--yes", *connection]) == 0
    assert main(["downgrade", "0002", *connection]) == 2
    assert "no way down to 0002" in capsys.readouterr().err
    execute(url, f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    assert main(["downgrade", "0001", "--yes", *connection]) == 2
    assert "which this version does not know" in capsys.readouterr().err


@ONE_OF_EACH
@pytest.mark.parametrize("table", ["llm_sessions", "llm_log_losses", VERSION_TABLE])
def test_a_table_of_another_program_is_named(table: str, url: str) -> None:
    execute(url, f"CREATE TABLE {table} (epoch INTEGER)")
    for mode in ("auto", "check"):
        with pytest.raises(SchemaError, match=f"The table {table} is not ours"):
            ensure(url, mode)


def test_the_command_line_says_what_is_wrong_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["current", "--connection", "postgresql+psycopg2://u:secret@127.0.0.1:1/db"]) == 2
    told = capsys.readouterr().err
    assert "Connection refused" in told
    assert "secret" not in told
    assert "Traceback" not in told
    assert main(["check", "--connection", "no url"]) == 2


@pytest.mark.backends("postgresql+psycopg2", "postgresql+asyncpg", "mysql+pymysql")
def test_a_schema_of_its_own(url: str, log: logging.Logger) -> None:
    schema = f"llm_schema_{url.rpartition('_')[2]}"
    handler = SQLLogHandler(url, schema=schema, flush_interval=3600, shutdown_timeout=30)
    log.addHandler(handler)
    try:
        for session in ("a", "a", "b"):
            log.info("call", extra={"llm": {**CALL["llm"], "session_id": session}})
            assert handler.flush()
        frame = polars_from_db(url, schema=schema, include_messages=True, session_id="a")
        assert frame["messages"].list.len().to_list() == [2, 2]
        assert execute(url, f"SELECT count(*) FROM {schema}.llm_sessions") == [(2,)]
        assert main(["check", "--connection", url, "--schema", schema]) == 0
        assert main(["downgrade", "base", "--yes", "--connection", url, "--schema", schema]) == 0
    finally:
        handler.close()
        execute(url, f"DROP SCHEMA {schema}" + (" CASCADE" if url.startswith("postgresql") else ""))
