"""The house: who may import whom, no circles, all annotated, nothing too large. Each check meets a planted fault."""

import ast
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support import syntax
from tests.support.documents import code_words, rows

PACKAGE = "aicore_sqllog"
BASE = {"errors", "values", "process", "redactors"}
"""What stands at the bottom, and may be used by all."""

DOORS = {"async_reader", "cli", "collector", "handler", "operation", "options", "reader", "repricing", "retention"}
MAY_IMPORT: Mapping[str, set[str]] = {
    "errors": set(),
    "redactors": set(),
    "values": {"errors", "process"},
    "process": {"errors", "values"},
    "record": BASE,
    "storage": BASE | {"record"},
    "prices": BASE,
    "capture": BASE | {"prices", "record", "responses"},
    "responses": BASE | {"record"},
    "batching": {"errors"},
    "journal": BASE | {"record"},
    "writing": BASE | {"record", "storage", "journal", "batching"},
    "delivery": BASE | {"record", "storage", "journal", "writing", "batching", "capture", "responses"},
    "querying": BASE | {"record", "storage"},
    "transfer": BASE | {"capture", "journal", "querying", "record", "storage", "writing"},
    "options": BASE | {"batching", "capture"},
    "handler": BASE | {"options", "prices", "record", "storage", "batching", "capture", "delivery", "writing"},
    "repricing": BASE | {"capture", "prices", "querying", "record", "storage"},
    "operation": BASE | {"capture", "record", "responses"},
    "integrations": BASE | {"capture", "record", "responses", "operation"},
    "reader": BASE | {"record", "storage", "querying"},
    "async_reader": BASE | {"record", "storage", "querying"},
    "collector": BASE | {"capture", "storage", "handler", "reader", "async_reader"},
    "retention": BASE | {"querying", "storage"},
    "cli": BASE | {"journal", "querying", "reader", "record", "repricing", "retention", "storage", "transfer"},
    "__main__": {"cli"},
    "__init__": BASE | DOORS | {"capture", "delivery", "integrations", "storage"},
}
LARGEST_FILE, LARGEST_FUNCTION = 360, 45

DATABASES = frozenset({"sqlite", "postgresql", "postgres", "mysql", "mariadb"})
KNOW_DATABASES = ("storage.dialects.", "storage.migrations.")
"""Where what a database decides is decided; the migrations keep what they have once decided."""

Sources = dict[str, str]
"""Source text by dotted module name, without the package's own."""


@pytest.fixture(scope="module")
def sources() -> Sources:
    root = ROOT / PACKAGE
    found = {".".join(path.relative_to(root).with_suffix("").parts): path.read_text("utf-8") for path in _files(root)}
    assert len(found) > 30
    return found


def _files(root: Path) -> Iterator[Path]:
    return root.rglob("*.py")


def imports(source: str) -> Iterator[str]:
    """Yield the dotted name of every import, also inside functions and for type checking."""
    for node in ast.walk(syntax.tree(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def own_imports(source: str) -> Iterator[str]:
    for name in imports(source):
        if name.startswith("."):
            yield name
        elif name.startswith(f"{PACKAGE}."):
            yield name.removeprefix(f"{PACKAGE}.")


def forbidden_imports(sources: Sources) -> list[str]:
    found = []
    for module, source in sources.items():
        home = module.partition(".")[0]
        for name in own_imports(source):
            target = name.partition(".")[0]
            if target != home and target not in MAY_IMPORT[home]:
                found.append(f"{module} imports {name}")
    return found


def circle(sources: Sources) -> list[str]:
    graph = {module: {name for name in own_imports(source) if name in sources} for module, source in sources.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as exc:
        return list(exc.args[1])
    return []


def database_names(sources: Sources) -> list[str]:
    """Return where a database is named, its dialect imported, or its name asked for."""
    found = []
    for module, source in sources.items():
        if module.startswith(KNOW_DATABASES):
            continue
        found += [f"{module} imports {name}" for name in imports(source) if name.startswith("sqlalchemy.dialects")]
        for node in ast.walk(syntax.tree(source)):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and node.value.partition("+")[0] in DATABASES
            ):
                found.append(f"{module} names {node.value}")
            elif isinstance(node, ast.Attribute) and ast.unparse(node).endswith(("dialect.name", "get_backend_name")):
                found.append(f"{module} asks for the name")
    return found


def foreign_to_standard_library(source: str) -> list[str]:
    return [name for name in imports(source) if name.partition(".")[0] not in sys.stdlib_module_names]


def functions(source: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(syntax.tree(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def unannotated(source: str) -> list[str]:
    found = []
    for node in functions(source):
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
        missing = [a.arg for a in arguments if a is not None and a.annotation is None and a.arg not in ("self", "cls")]
        if missing or node.returns is None:
            found.append(f"{node.name}({', '.join(missing)})")
    return found


def undocumented(source: str) -> list[str]:
    tree = syntax.tree(source)
    public = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return [n.name for n in tree.body if isinstance(n, public) and n.name[0] != "_" and not ast.get_docstring(n)]


def too_large(sources: Sources) -> list[str]:
    found = [module for module, source in sources.items() if source.count("\n") > LARGEST_FILE]
    for module, source in sources.items():
        for node in functions(source):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            if body and (node.end_lineno or 0) - body[0].lineno + 1 > LARGEST_FUNCTION:
                found.append(f"{module}.{node.name}")
    return found


def test_imports_go_one_way(sources: Sources) -> None:
    assert forbidden_imports(sources) == []
    planted = {"storage.x": "def f():\n    from aicore_sqllog.batching.limits import Limits"}
    assert forbidden_imports(planted)
    assert forbidden_imports({"capture.x": "from ..storage import models"})


def test_the_documents_show_who_may_import_whom() -> None:
    told = {}
    for names, _, others in rows("docs/architecture.md", "Who may import whom"):
        told[code_words(names)[0].rstrip("/").removesuffix(".py")] = set(code_words(others))
    for home, allowed in MAY_IMPORT.items():
        if not home.startswith("__"):
            assert told.pop(home, None) == allowed - (set() if home in BASE else BASE), home
    assert told == {}


def test_there_are_no_circles(sources: Sources) -> None:
    assert circle(sources) == []
    assert circle({"a": "import aicore_sqllog.b", "b": "from aicore_sqllog.a import x"})


def reached(sources: Sources, module: str) -> set[str]:
    """Return *module* and all of ours that it imports, and these in turn."""
    found, waiting = set(), {module}
    while waiting:
        module = waiting.pop()
        found.add(module)
        waiting |= {name for name in own_imports(sources[module]) if name in sources} - found
    return found


def test_the_worker_and_what_it_stands_on_know_only_the_standard_library(sources: Sources) -> None:
    found = reached(sources, "batching.worker")
    beside = {
        "worker",
        "buffer",
        "contents",
        "handoff",
        "batch",
        "queue",
        "packed_memory",
        "counts",
        "flushes",
        "limits",
        "wakeup",
        "clock",
        "room",
    }
    assert found == {f"batching.{name}" for name in beside}
    for module in found:
        foreign = foreign_to_standard_library(sources[module])
        assert [name for name in foreign if not name.startswith(f"{PACKAGE}.batching.")] == [], module
    planted = sources | {"batching.queue": "from aicore_sqllog.capture.snapshot import Snapshot"}
    assert "capture.snapshot" in reached(planted, "batching.worker")


def test_sqlite_is_opened_by_python_s_own_module_alone(sources: Sources) -> None:
    others = ("adbc", "connectorx", "duckdb", "apsw")
    assert [m for m, source in sources.items() for name in imports(source) if name.startswith(others)] == []


def test_what_a_database_decides_is_decided_in_one_place(sources: Sources) -> None:
    assert database_names(sources) == []
    for planted in (
        "x = url == 'postgresql+psycopg'",
        "x = bind.dialect.name",
        "from sqlalchemy.dialects import mysql",
    ):
        assert database_names({"writing.x": planted}), planted


def test_everything_is_annotated_and_documented(sources: Sources) -> None:
    assert [f"{module}: {found}" for module, source in sources.items() if (found := unannotated(source))] == []
    assert [f"{module}: {found}" for module, source in sources.items() if (found := undocumented(source))] == []
    assert unannotated("def f(a, *, b: int) -> None: ...") == ["f(a)"]
    assert undocumented("class A: ...\ndef f(): 'text'") == ["A"]


def test_files_and_functions_stay_small(sources: Sources) -> None:
    assert too_large(sources) == []
    assert too_large({"m": "x = 1\n" * (LARGEST_FILE + 1)}) == ["m"]
    assert too_large({"m": "def f():\n" + "    x = 1\n" * (LARGEST_FUNCTION + 1)}) == ["m.f"]
