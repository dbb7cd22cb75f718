"""
Lists of ids as long as the parameters of one statement may be.
"""

from collections.abc import Collection, Iterator

__all__ = ["chunks"]

_IDS_A_LOOKUP = 500


def chunks(ids: Collection[str]) -> Iterator[list[str]]:
    """Yield *ids* in order, in lists as long as a statement's parameters may be."""
    wanted = sorted(ids)
    for start in range(0, len(wanted), _IDS_A_LOOKUP):
        yield wanted[start : start + _IDS_A_LOOKUP]
