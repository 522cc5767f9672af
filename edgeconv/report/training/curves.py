"""Loss and accuracy, epoch by epoch, with the phases of the training marked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from edgeconv.history import Epoch
from edgeconv.report.training.canvas import BLUE, ORANGE, canvas

__all__ = ["draw_curves"]

_PHASES = {"head": "head alone", "fine": "fine-tuning"}
#: Of a training that begins with all layers.
_ONLY_PHASE = "all layers"
_SHADES = ("#f3f5f8", "#ffffff")


def draw_curves(epochs: Sequence[Epoch]) -> bytes:
    """Draw the learning curves as PNG.

    Args:
        epochs: In order, at least one.
    """
    with canvas((11.0, 4.4), ()) as figure:
        loss, accuracy = figure.subplots(1, 2)
        places = [each.epoch for each in epochs]
        _curve(loss, places, [e.train_loss for e in epochs], [e.validation_loss for e in epochs])
        _curve(
            accuracy,
            places,
            [100 * each.train_accuracy for each in epochs],
            [100 * each.validation_accuracy for each in epochs],
        )
        for axes, title in ((loss, "loss, nats"), (accuracy, "accuracy, %")):
            _phases(axes, epochs)
            axes.set_title(title, loc="left", pad=18)
            axes.set_xlabel("epoch")
            axes.set_xlim(places[0] - 0.5, places[-1] + 0.5)
            axes.xaxis.get_major_locator().set_params(integer=True)
        loss.set_ylim(bottom=0)
        _best(loss, epochs)
        for axes in (loss, accuracy):  # above the curves, which may be anywhere
            axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1.05), ncols=3)
        return figure.png()


def _curve(axes: Any, places: Sequence[int], train: list[float], validation: list[float]) -> None:
    marker = "o" if len(places) <= 40 else None
    axes.plot(places, train, color=BLUE, marker=marker, markersize=3.5, label="training")
    if any(map(math.isfinite, validation)):
        axes.plot(
            places, validation, color=ORANGE, marker=marker, markersize=3.5, label="validation"
        )
    axes.grid(axis="y", color="0.9", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)


def _phases(axes: Any, epochs: Sequence[Epoch]) -> None:
    for number, (phase, group) in enumerate(groupby(epochs, key=lambda each: each.phase)):
        places = [each.epoch for each in group]
        start, end = places[0] - 0.5, places[-1] + 0.5
        axes.axvspan(start, end, color=_SHADES[number % 2], zorder=0, linewidth=0)
        if number:
            axes.axvline(start, color="0.6", linestyle=(0, (4, 3)), linewidth=1)
        axes.text(
            (start + end) / 2,
            1.0,
            _ONLY_PHASE if (phase, number) == ("fine", 0) else _PHASES.get(phase, phase),
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize=8,
            color="0.4",
        )


def _best(axes: Any, epochs: Sequence[Epoch]) -> None:
    """Ring the epoch whose weights were kept."""
    known = [each for each in epochs if math.isfinite(each.validation_loss)]
    if known:
        best = min(known, key=lambda each: (each.validation_loss, each.epoch))
        axes.plot(
            [best.epoch],
            [best.validation_loss],
            marker="o",
            markersize=10,
            markerfacecolor="none",
            markeredgecolor=ORANGE,
            linestyle="none",
            label=f"least, epoch {best.epoch}",
        )
