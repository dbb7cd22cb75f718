"""
The question which values there are, for menus.
"""

from typing import Any, Unpack

import sqlalchemy as sa

from aicore_sqllog.querying.conditions import matching
from aicore_sqllog.querying.execute import Question
from aicore_sqllog.querying.filters import Filters, LogFilter
from aicore_sqllog.querying.groups import group_key

__all__ = ["values"]


def values(column: str | tuple[str | int, ...], /, **filters: Unpack[Filters]) -> Question[list[str | None]]:
    """Ask for the distinct values; what the arguments mean is said at ``LogReader.values``."""
    key: Any = group_key("column", column).expression.label("value")
    rows = yield matching(sa.select(key).distinct(), LogFilter.of(filters))
    found = [row[0] for row in rows]
    return [*sorted(value for value in found if value is not None), *([None] if None in found else [])]
