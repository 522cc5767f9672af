"""What comes next, from what was: a pure function, so that a resumed run goes on the same way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgeconv.finetune.settings import PATIENCE, Settings
from edgeconv.history import Epoch

__all__ = ["Step", "best", "next_step"]


@dataclass(frozen=True)
class Step:
    """The epoch that comes next.

    Attributes:
        phase: What it trains.
        epoch: From 1 on, over both phases.
        of_phase: From 1 on, in its phase.
        learning_rate: Of the optimizer.
    """

    phase: str
    epoch: int
    of_phase: int
    learning_rate: float


def next_step(epochs: Sequence[Epoch], settings: Settings) -> Step | None:
    """The epoch after ``epochs``, or None where training is done.

    A phase ends after its last epoch, or when ``PATIENCE`` epochs brought no better
    validation loss than there ever was.
    """
    phases = settings.phases
    phase = epochs[-1].phase if epochs else phases[0]
    own = [epoch for epoch in epochs if epoch.phase == phase]
    if own and (len(own) >= settings.epochs or _stalled(epochs, own)):
        later = phases[phases.index(phase) + 1 :]
        if not later:
            return None
        phase, own = later[0], []
    return Step(phase, len(epochs) + 1, len(own) + 1, _rate(phase, len(own), settings))


def best(epochs: Sequence[Epoch]) -> Epoch:
    """The epoch of the lowest validation loss, the earliest of equals."""
    return min(epochs, key=lambda epoch: epoch.validation_loss)


def _stalled(epochs: Sequence[Epoch], own: Sequence[Epoch]) -> bool:
    since = epochs[-1].epoch - max(best(epochs).epoch, own[0].epoch - 1)
    return since >= PATIENCE


def _rate(phase: str, done: int, settings: Settings) -> float:
    """Half a cosine from the peak towards 0. Source: Loshchilov and Hutter, arXiv:1608.03983."""
    turned = math.pi * done / settings.epochs
    return settings.peak_rate(phase) * (1 + math.cos(turned)) / 2
