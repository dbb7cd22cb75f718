"""
In which order rows come, and how many at most.
"""

from collections.abc import Iterable

from aicore_sqllog.querying.filters import nearest

__all__ = ["checked_limit", "checked_order"]


def checked_order(order_by: str, sortable: Iterable[str]) -> str:
    """Return *order_by*; a ValueError names the nearest of *sortable*."""
    names = list(sortable)
    if order_by not in names:
        raise ValueError(f"order_by={order_by!r}: rows have no such order.{nearest(str(order_by), names)}")
    return order_by


def checked_limit(limit: int | None) -> int | None:
    """Return *limit*; a ValueError says what is allowed."""
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
        raise ValueError(f"limit={limit!r} cannot be right. Allowed: a number of rows from 0 on, or None.")
    return limit
