"""The documented ways with the owner's own Alembic, run word for word in a project that ``alembic init`` makes."""

import logging
from pathlib import Path

import pytest
import sqlalchemy as sa

from aicore_sqllog import SQLLogHandler, polars_from_db
from tests.conftest import ROOT
from tests.storage.test_migrations import ensure
from tests.support.documents import blocks
from tests.support.processes import run_python
from tests.support.servers import ONE_OF_EACH, execute

pytestmark = pytest.mark.slow

OURS = ["llm_log_losses", "llm_messages", "llm_operations", "llm_sessions"]
CUSTOMERS = """
import sqlalchemy as sa
if "target_metadata" not in globals():
    your_metadata = target_metadata = sa.MetaData()
sa.Table("customers", your_metadata, sa.Column("id", sa.Integer, primary_key=True))
"""


class Project:
    """An owner's project with an Alembic of its own; *way* is the documents' block for its ``env.py``."""

    def __init__(self, folder: Path, url: str, way: str, hooks: str) -> None:
        self._folder = folder
        self.run("init", "migrations")
        ini, env = folder / "alembic.ini", folder / "migrations" / "env.py"
        text = ini.read_text("utf-8").replace("driver://user:pass@localhost/dbname", url.replace("%", "%%"))
        ini.write_text(text, "utf-8")
        source = env.read_text("utf-8")
        assert source.count("target_metadata=target_metadata") == 2
        source = source.replace("target_metadata = None\n", way + CUSTOMERS)
        env.write_text(source.replace("target_metadata=target_metadata", f"target_metadata=target_metadata, {hooks}"))

    def run(self, *arguments: str) -> str:
        done = run_python("-m", "alembic", *arguments, cwd=self._folder)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def autogenerate(self) -> str:
        """Return the source of a new migration."""
        before = set(self._versions())
        self.run("revision", "--autogenerate", "-m", "new")
        (made,) = set(self._versions()) - before
        return made.read_text("utf-8")

    def _versions(self) -> list[Path]:
        return list((self._folder / "migrations" / "versions").glob("*.py"))


def documented(heading: str) -> str:
    """Return the block of Python below *heading* in the documents."""
    document = ROOT / "docs" / "databases.md"
    behind = document.read_text("utf-8").partition(heading)[2]
    return next(
        b.text
        for b in blocks(document)
        if b.language == "python" and behind.partition("```python\n")[2].startswith(b.text)
    )


def tables(url: str) -> list[str]:
    engine = sa.create_engine(url)
    try:
        return sorted(sa.inspect(engine).get_table_names())
    finally:
        engine.dispose()


def log_a_call(url: str, log: logging.Logger, migrate: str) -> None:
    handler = SQLLogHandler(url, migrate=migrate, flush_interval=3600)
    log.addHandler(handler)
    log.info("call", extra={"provider": "p", "model": "m", "messages": "q"})
    assert handler.flush(30), repr(handler)
    log.removeHandler(handler)
    handler.close()


@ONE_OF_EACH
def test_ours_kept_apart(url: str, tmp_path: Path, log: logging.Logger) -> None:
    log_a_call(url, log, "auto")
    project = Project(tmp_path, url, documented("**Ours apart**"), "include_name=include_name")
    first = project.autogenerate()
    assert "create_table('customers'" in first
    assert "llm_" not in first
    assert "aicore" not in first
    project.run("upgrade", "head")
    assert "op." not in project.autogenerate().partition("def upgrade")[2].replace("op.f", "")
    project.run("upgrade", "head")
    project.run("downgrade", "base")
    ensure(url, "check")
    assert tables(url) == ["aicore_sqllog_version", "alembic_version", *OURS]
    assert len(polars_from_db(url)) == 1


@ONE_OF_EACH
@pytest.mark.parametrize("are_there", [False, True], ids=["new", "made by the handler before"])
def test_the_owner_makes_ours(are_there: bool, url: str, tmp_path: Path, log: logging.Logger) -> None:
    if are_there:
        log_a_call(url, log, "auto")
    hooks = "include_name=include_name, render_item=render_item"
    project = Project(tmp_path, url, documented("**Yours makes them.**"), hooks)
    first = project.autogenerate()
    assert "drop_" not in first.partition("def downgrade")[0]
    assert ("create_table('llm_operations'" in first) is not are_there
    project.run("upgrade", "head")
    second = project.autogenerate().partition("def upgrade")[2]
    assert second.count("pass") == 2, second
    log_a_call(url, log, "check")
    assert execute(url, "SELECT count(*) FROM llm_operations") == [(1 + are_there,)]
    if not are_there and not url.startswith("mysql"):  # which refuses to drop an index that a foreign key needs
        project.run("upgrade", "head")
        project.run("downgrade", "base")
        assert tables(url) == ["alembic_version"]
