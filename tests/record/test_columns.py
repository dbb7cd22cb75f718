"""The one table of columns: the ORM models, the schema's revisions and the fields of a record keep to it."""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import cast

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase

from aicore_sqllog import LlmMessage, LlmOperation, LlmSession, metadata
from aicore_sqllog.capture.fields import FIELD_DESCRIPTIONS, FIELDS
from aicore_sqllog.cli import main
from aicore_sqllog.record.columns import COLUMNS, LOSSES, MESSAGES, OPERATIONS, SESSIONS, Column, ColumnKind
from aicore_sqllog.storage.migrations import versions
from aicore_sqllog.storage.migrations.runner import SCRIPTS
from aicore_sqllog.storage.models import LlmLogLoss
from aicore_sqllog.storage.revisions import REVISIONS
from aicore_sqllog.storage.types import Id, Json, Name, Text, UtcDateTime

TYPES: dict[ColumnKind, tuple[type, ...]] = {
    ColumnKind.ID: (Id,),
    ColumnKind.NAME: (Name,),
    ColumnKind.TEXT: (Text,),
    ColumnKind.COUNT: (sa.Integer, sa.BigInteger),
    ColumnKind.AMOUNT: (sa.Double,),
    ColumnKind.INSTANT: (UtcDateTime,),
    ColumnKind.JSON: (Json,),
}


@pytest.mark.parametrize(
    ("columns", "model"),
    [(SESSIONS, LlmSession), (OPERATIONS, LlmOperation), (MESSAGES, LlmMessage), (LOSSES, LlmLogLoss)],
)
def test_a_model_has_the_columns_of_the_table_in_its_order(
    columns: Sequence[Column], model: type[DeclarativeBase]
) -> None:
    table = cast(sa.Table, model.__table__)
    assert {column.table for column in columns} == {table.name}
    assert [column.name for column in columns] == [column.name for column in table.columns]
    for column, own in zip(columns, table.columns, strict=True):
        assert type(own.type) in TYPES[column.kind], column.key
        assert getattr(model, column.key).property.columns == [own]


def test_the_tables_are_all_that_there_are() -> None:
    assert {column.table for column in COLUMNS} == set(metadata.tables)


def test_each_revision_adds_the_columns_that_are_said_to_be_its_own(path: Path) -> None:
    url = f"sqlite:///{path}"
    assert {column.revision for column in COLUMNS} <= set(REVISIONS)
    for revision in REVISIONS:
        assert main(["upgrade", "--connection", url, revision]) == 0
        engine = sa.create_engine(url)
        inspector = sa.inspect(engine)
        tables = set(inspector.get_table_names()) & set(metadata.tables)
        found = {(name, column["name"]) for name in tables for column in inspector.get_columns(name)}
        engine.dispose()
        assert found == {(column.table, column.name) for column in COLUMNS if column.revision <= revision}


def test_every_revision_that_lies_in_the_folder_is_entered_where_revisions_are_run_and_named() -> None:
    files = (Path(versions.__file__).parent).glob("r*.py")
    assert sorted(path.stem for path in files) == [script.__name__.rpartition(".")[2] for script in modules()]
    assert tuple(script.REVISION for script in SCRIPTS) == REVISIONS


def modules() -> list[ModuleType]:
    return [cast(ModuleType, script) for script in SCRIPTS]


def test_a_field_and_a_filter_have_one_column_each() -> None:
    fields = [column.key for column in COLUMNS if column.is_field]
    assert len(fields) == len(set(fields))
    assert set(fields) < FIELDS == FIELD_DESCRIPTIONS.keys()
    filters = [name for column in COLUMNS for name in column.filters]
    assert len(filters) == len(set(filters))
    assert all(column.description for column in COLUMNS)
