"""
The question how many operations match.
"""

from typing import Unpack

import sqlalchemy as sa

from aicore_sqllog.querying.conditions import matching
from aicore_sqllog.querying.execute import Question
from aicore_sqllog.querying.filters import Filters, LogFilter

__all__ = ["count"]


def count(**filters: Unpack[Filters]) -> Question[int]:
    """Ask how many operations match."""
    rows = yield matching(sa.select(sa.func.count()), LogFilter.of(filters))
    return int(rows[0][0])
