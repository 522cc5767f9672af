"""The part of a calibration set that a search judges on; it calibrates on the rest.

It is held back whatever the effort, searched or not, so that a recipe gives the same
bytes wherever it comes from.
"""

from __future__ import annotations

from typing import Final

from edgeconv.data.items import Items
from edgeconv.data.splits import split

__all__ = ["hold_back"]

#: With fewer items neither side would be any good.
_FEWEST: Final = 48
#: Of the whole: a few dozen where there are enough, at most a third for them, and no more
#: than a trial runs through in seconds.
_SHARE, _DOZENS, _LARGEST_SHARE, _MOST = 0.2, 32, 1 / 3, 200


def hold_back(calibration: Items | None, seed: int = 0) -> tuple[Items | None, Items | None]:
    """Divide a calibration set.

    Args:
        calibration: All of it; None where the precision needs none.
        seed: Of the division, which otherwise depends on the items' content alone.

    Returns:
        What is calibrated on, and what is held back: a fifth, at least 32 where a third is
        as many, at most 200; None of fewer than 48 items.
    """
    count = 0 if calibration is None else len(calibration)
    if calibration is None or count < _FEWEST or len(set(calibration.item_hashes())) < 2:
        return calibration, None
    wanted = min(max(_SHARE * count, min(_DOZENS, _LARGEST_SHARE * count)), _MOST)
    return split(calibration, wanted / count, seed)
