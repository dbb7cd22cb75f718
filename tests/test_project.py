"""The package from outside: what it exports, what an import costs, its version."""

import tomllib
from importlib import metadata, resources
from pathlib import Path

import pytest

import aicore_sqllog
from tests.conftest import ROOT
from tests.support.processes import run_python


def test_every_name_is_there_and_documented() -> None:
    assert aicore_sqllog.__all__ == sorted(aicore_sqllog.__all__)
    for name in aicore_sqllog.__all__:
        assert name == "metadata" or getattr(aicore_sqllog, name).__doc__
    assert set(aicore_sqllog.__all__) <= set(dir(aicore_sqllog))
    with pytest.raises(AttributeError, match="no_such_name"):
        aicore_sqllog.no_such_name  # noqa: B018


@pytest.mark.parametrize(
    ("use", "absent"),
    [
        ("", ["sqlalchemy", "polars", "alembic", "asyncio", "orjson"]),
        (
            "aicore_sqllog.SQLLogHandler('sqlite:///x.db')",
            ["sqlalchemy.orm", "polars", "alembic", "sqlalchemy.ext.asyncio"],
        ),
        ("aicore_sqllog.LogReader('sqlite:///x.db')", ["alembic", "sqlalchemy.ext.asyncio", "aiosqlite"]),
    ],
)
def test_an_import_loads_only_what_is_used(use: str, absent: list[str], tmp_path: Path) -> None:
    code = f"import sys, aicore_sqllog\n{use}\nprint([name for name in {absent!r} if name in sys.modules])"
    done = run_python("-c", code, cwd=tmp_path)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
    assert list(tmp_path.iterdir()) == [], "neither an import nor a constructor makes a file"


def test_the_version_is_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == aicore_sqllog.__version__ == metadata.version("aicore-sqllog")
    assert f"## [{project['version']}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_package_says_that_it_is_typed() -> None:
    assert resources.files(aicore_sqllog).joinpath("py.typed").is_file()
