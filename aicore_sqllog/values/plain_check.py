"""
Whether values are plain as they are, which nearly all are: told level by level, so that no copy is made.
"""

import math
from collections.abc import Callable, Set
from gc import get_referents
from typing import Any

from aicore_sqllog.values.limits import JSON_DEPTH

__all__ = ["is_plain"]

_MOST_VALUES = 2_000
_MOST_LEVELS = JSON_DEPTH - 4
_LONG_TEXT = 64


def is_plain(
    values: tuple[dict[Any, object], ...], *, data_keys: Set[str], may_hold_data: Callable[[str], bool]
) -> bool:
    """
    Whether *values* are few, of JSON's kinds, with text keys, and hold nothing that has to be replaced.

    What is left to the encoder: a text or a whole number that JSON cannot hold.

    Args:
        values: Mappings; how often one thing stands in them counts, so what is shared or cyclic is not few.

        data_keys: Keys at which media stand.

        may_hold_data: Whether a text of some length may hold media.
    """
    level: Any = values
    room = _MOST_VALUES
    for _ in range(_MOST_LEVELS):
        containers: list[Any] = []
        size = 0
        for value in level:
            kind = type(value)
            if kind is str:
                if len(value) >= _LONG_TEXT and may_hold_data(value):
                    return False
            elif kind is dict or kind is list:
                if kind is dict and not data_keys.isdisjoint(value):
                    return False
                containers.append(value)
                size += len(value)
            elif kind is float:
                if not math.isfinite(value):
                    return False
            elif kind is not int and kind is not bool and value is not None:
                return False
        if not size:
            return True
        room -= size
        if room < 0:
            return False
        level = get_referents(*containers)
        if len(level) != size:  # of a dict whose keys are not all texts, the keys are referents too
            return False
    return False
