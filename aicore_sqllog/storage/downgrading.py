"""
What a downgrade drops, told before it does.
"""

import sqlalchemy as sa

from aicore_sqllog.storage.models import metadata
from aicore_sqllog.storage.revisions import HEAD, columns_of, look

__all__ = ["what_is_lost"]


def what_is_lost(connection: sa.Connection, schema: str | None, revision: str) -> list[str]:
    """Return a line for each table and column that a downgrade to *revision* drops, with how much is in it."""
    if revision == HEAD or look(connection, schema).is_later:
        return []  # nothing is dropped, or the downgrade refuses and says why
    inspector = sa.inspect(connection)
    lines = []
    kept_columns = set() if revision == "base" else columns_of(revision)
    for table in reversed(metadata.sorted_tables):
        if not inspector.has_table(table.name, schema=schema):
            continue
        there = {column["name"] for column in inspector.get_columns(table.name, schema=schema)}
        kept = {name for of, name in kept_columns if of == table.name}
        if not kept:
            rows = connection.scalar(sa.select(sa.func.count()).select_from(table))
            lines.append(f"drops the table {table.name} with {_counted(rows, 'row')}")
            continue
        for column in table.columns:
            if column.name in there - kept:
                values = connection.scalar(sa.select(sa.func.count(column)))
                lines.append(f"drops the column {table.name}.{column.name} with {_counted(values, 'value')}")
    return lines


def _counted(number: int | None, thing: str) -> str:
    return f"{number or 0:,} {thing}{'' if number == 1 else 's'}"
