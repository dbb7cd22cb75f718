"""
Whether values are plain as they are, which nearly all are: told at C speed, level by level, so that no copy is made.
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
_PLAIN = frozenset({str, int, float, bool, type(None), dict, list})


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
        kinds = set(map(type, level))
        if not kinds <= _PLAIN or (float in kinds and not all(math.isfinite(v) for v in level if type(v) is float)):
            return False
        if str in kinds and any(len(v) >= _LONG_TEXT and may_hold_data(v) for v in level if type(v) is str):
            return False
        containers = [value for value in level if type(value) is dict or type(value) is list]
        if not containers:
            return True
        if dict in kinds and not all(data_keys.isdisjoint(value) for value in containers if type(value) is dict):
            return False
        size = sum(map(len, containers))
        room -= size
        level = get_referents(*containers)
        if room < 0 or len(level) != size:  # of a dict whose keys are not all texts, the keys are referents too
            return False
    return False
