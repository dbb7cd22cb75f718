"""
The question what was dropped, and when: is this window complete?
"""

from datetime import date, datetime

import polars as pl
import sqlalchemy as sa

from aicore_sqllog.querying.columns import LOSS_COLUMNS, LOSSES
from aicore_sqllog.querying.execute import Question
from aicore_sqllog.querying.filter_values import read_end, read_start
from aicore_sqllog.querying.frames import typed_frame

__all__ = ["losses"]


def losses(
    start_date: str | date | datetime | None = None, end_date: str | date | datetime | None = None
) -> Question[pl.DataFrame]:
    """Ask for the losses that reach into the period; what the arguments mean is said at ``LogReader.losses``."""
    select = sa.select(*(column.selected().label(name) for name, column in LOSS_COLUMNS.items()))
    if start_date is not None:
        select = select.where(LOSSES.c.last_at >= read_start("start_date", start_date))
    end = None if end_date is None else read_end("end_date", end_date)
    if end is not None:
        select = select.where(LOSSES.c.first_at < end)
    rows = yield select.order_by(LOSSES.c.first_at, LOSSES.c.loss_id)
    return typed_frame(rows, {name: column.kind for name, column in LOSS_COLUMNS.items()})
