"""Which class was taken for which: counted, and drawn.

rows: what a picture shows      columns: what it was taken for
a cell's shade: its share of the row, so that a rare class weighs as much as a common one
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from edgeconv.history import TestResult
from edgeconv.report.fonts import readable
from edgeconv.report.training.canvas import BLUE, canvas, elided
from edgeconv.types import Array

__all__ = ["count", "draw_confusion"]

#: Inches of a cell, from few classes to many, and of all cells together at most.
_LARGEST_CELL, _SMALLEST_CELL, _LARGEST = 0.62, 0.2, 24.0
#: With more classes neither counts nor names would be legible.
_MOST_NAMED: Final = 120
#: Points in an inch.
_POINTS: Final = 72.0
_NO_GLYPHS = "no font has the letters of some names;\nreport.txt names every class"


def count(test: TestResult, classes: int) -> Array:
    """int64 [classes, classes]: how often the row's class was taken for the column's."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (np.asarray(test.true, int), np.asarray(test.predicted, int)), 1)
    return counts


def draw_confusion(counts: Array, labels: Sequence[str]) -> bytes:
    """Draw a confusion matrix of any number of classes as PNG.

    Args:
        counts: int64 [N, N].
        labels: N class names. One whose letters no installed font has is drawn as its
            number, which report.txt names.
    """
    classes = len(labels)
    cell = min(_LARGEST_CELL, max(_SMALLEST_CELL, 9.0 / classes), _LARGEST / classes)
    fonts, lost = readable(labels)
    names = [
        f"class {at}" if lost & set(label) else elided(label, 22) for at, label in enumerate(labels)
    ]
    side = max(cell * classes, 2.2)
    with canvas((side + 3.4, side + 2.8), fonts) as figure:
        axes = figure.add_subplot()
        support = np.maximum(counts.sum(axis=1, keepdims=True), 1)
        image = axes.imshow(100 * counts / support, cmap="Blues", vmin=0, vmax=100)
        _name_axes(axes, names, min(10.0, cell * _POINTS * 0.62))
        if classes <= _MOST_NAMED:
            _write_counts(axes, counts, 100 * counts / support, cell)
        axes.set_xlabel("taken for", labelpad=8)
        axes.set_ylabel("picture of", labelpad=8)
        if lost:
            axes.set_title(_NO_GLYPHS, fontsize=7.5, color="0.35", loc="left")
        bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.03, shrink=min(1.0, 4 / side))
        bar.set_label("% of the row")
        return figure.png()


def _name_axes(axes: Any, names: Sequence[str], points: float) -> None:
    places: list[int] = list(range(len(names)))
    if len(names) > _MOST_NAMED:
        places = places[:: 10 ** (len(str(len(names) - 1)) - 2)]
        names, points = [str(place) for place in places], 8.0
    axes.set_xticks(places, names, fontsize=points, rotation=90)
    axes.set_yticks(places, names, fontsize=points)
    axes.tick_params(length=0)


def _write_counts(axes: Any, counts: Array, shares: Array, cell: float) -> None:
    digits = len(str(int(counts.max(initial=0))))
    points = min(11.0, cell * _POINTS * 0.9 / max(digits * 0.62, 1.4))
    for row, column in zip(*counts.nonzero(), strict=True):
        dark = shares[row, column] > 55
        axes.text(
            column,
            row,
            str(counts[row, column]),
            ha="center",
            va="center_baseline",
            fontsize=points,
            color="white" if dark else "0.15",
            weight="bold" if row == column else "normal",
        )
    if counts.size and not counts.any():
        axes.text(0.5, 0.5, "no pictures", transform=axes.transAxes, ha="center", color=BLUE)
