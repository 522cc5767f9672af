"""Training from the parent's side: an epoch a call, a checkpoint after each.

begin or resume ──► epoch ──► checkpoint ──► next_step? ──► epoch ... ──► best weights
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from edgeconv.errors import Unsupported
from edgeconv.finetune.checkpoint import Checkpoint, Store
from edgeconv.finetune.plan import Step, next_step
from edgeconv.finetune.settings import Settings
from edgeconv.history import Epoch
from edgeconv.progress import Progress
from edgeconv.workshop import Workshop

__all__ = ["train"]

_CHILD = "edgeconv.finetune.child:"


def train(
    workshop: Workshop,
    store: Store,
    checkpoint: Checkpoint,
    settings: Settings,
    progress: Progress,
    on_epoch: Callable[[Epoch], None],
) -> tuple[Epoch, ...]:
    """Go on from ``checkpoint`` to the end; the workshop then holds the best weights.

    Args:
        workshop: With a network opened, see ``child.open_network``.
        store: Where checkpoints go.
        checkpoint: Where to go on.
        settings: How to train.
        progress: Told of each epoch.
        on_epoch: Told when one is done.

    Returns:
        All epochs, also those before ``checkpoint``.

    Raises:
        Unsupported: The loss is no longer finite.
    """
    run = _Run(workshop, store, progress)
    phase = ""
    if checkpoint.epochs:
        phase = checkpoint.epochs[-1].phase
        run.call("begin", phase=phase)
        run.call("restore", checkpoint=run.path(checkpoint.last), optimizer=True)
    while step := next_step(checkpoint.epochs, settings):
        if step.phase != phase:
            checkpoint = run.turn(checkpoint, step.phase)
            phase = step.phase
        epoch = run.epoch(step, settings)
        checkpoint = checkpoint.after(epoch, _name(step.epoch))
        store.write(checkpoint)
        on_epoch(epoch)
    run.call("restore", checkpoint=run.path(checkpoint.best), optimizer=False)
    return checkpoint.epochs


class _Run:
    """The calls of one training."""

    def __init__(self, workshop: Workshop, store: Store, progress: Progress) -> None:
        self._workshop, self._store, self._progress = workshop, store, progress

    def call(self, function: str, **arguments: Any) -> Any:
        return self._workshop.call(_CHILD + function, self._progress, **arguments)

    def path(self, name: str) -> str:
        return str(self._store.place(name))

    def turn(self, checkpoint: Checkpoint, phase: str) -> Checkpoint:
        """Begin a phase with the best weights of the one before.

        They are written down anew: files of this phase hold more variables.
        """
        if checkpoint.epochs:
            self.call("restore", checkpoint=self.path(checkpoint.best), optimizer=False)
        self.call("begin", phase=phase)
        if not checkpoint.epochs:
            return checkpoint
        start = _name(len(checkpoint.epochs), "start")
        self.call("write", checkpoint=self.path(start))
        return replace(checkpoint, best=start)

    def epoch(self, step: Step, settings: Settings) -> Epoch:
        started = time.monotonic()
        scores = self.call(
            "epoch",
            title=f"epoch {step.epoch}, {step.phase} {step.of_phase} of {settings.epochs}",
            number=step.epoch,
            learning_rate=step.learning_rate,
            checkpoint=self.path(_name(step.epoch)),
        )
        if not all(map(math.isfinite, scores.values())):
            raise Unsupported(
                f"Training diverged in epoch {step.epoch}: the loss is no number any more.",
                "Begin anew with a lower --learning-rate and --force.",
            )
        seconds = time.monotonic() - started
        return Epoch(step.phase, step.epoch, step.learning_rate, seconds=seconds, **scores)


def _name(number: int, after: str = "") -> str:
    return f"epoch-{number:04}{after and '-' + after}.npz"
