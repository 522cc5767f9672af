"""What the workshop does to train: the calls of ``finetune.job``.

Every function here runs in the TensorFlow process (``edgeconv.workshop``): its
first argument is the child's state, the rest is JSON.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgeconv.finetune import arrays
from edgeconv.finetune.material import Pictures, Pixels
from edgeconv.finetune.network import Network
from edgeconv.finetune.settings import Settings
from edgeconv.finetune.trainer import Trainer
from edgeconv.preprocess import Preprocess
from edgeconv.progress import Progress

__all__ = ["accelerator", "answer", "begin", "epoch", "open_network", "restore", "save"]

State = dict[str, Any]


def accelerator(state: State, progress: Progress) -> str:
    """Make ready to compute the same each time; the GPU's name, or "" where there is none."""
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    if not gpus:
        return ""
    return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU"))


def open_network(
    state: State,
    progress: Progress,
    *,
    pixels: str,
    classes: list[int],
    train: list[int],
    validation: list[int],
    weights: list[float],
    preprocess: dict[str, Any],
    settings: dict[str, Any],
    mixed: bool,
) -> None:
    """Put a head on ``state["base"]``, a Keras model that gives features [N, D]."""
    pictures = Pictures(
        np.load(pixels, mmap_mode="r", allow_pickle=False),
        np.asarray(classes, np.int64),
        np.asarray(train, np.int64),
        np.asarray(validation, np.int64),
        np.asarray(weights, np.float32),
    )
    how = Settings.from_json(settings)
    network = Network(state.pop("base"), len(weights), how, mixed=mixed)
    seen = Pixels(pictures, network, Preprocess.from_json(preprocess), how.mirror)
    state["trainer"] = Trainer(seen, how, Path(pixels).with_name("features.npy"))


def begin(state: State, progress: Progress, *, phase: str) -> None:
    """Turn to a phase, with what the network knows."""
    state["trainer"].begin(phase, progress)


def epoch(
    state: State,
    progress: Progress,
    *,
    title: str,
    number: int,
    learning_rate: float,
    checkpoint: str,
) -> dict[str, float]:
    """Train for an epoch, judge it, and write it down."""
    trainer: Trainer = state["trainer"]
    progress.stage(title, trainer.steps)
    trained = trainer.epoch(number, learning_rate, progress)
    judged = trainer.validate(progress)
    write(state, progress, checkpoint=checkpoint)
    return {
        "train_loss": trained.loss,
        "train_accuracy": trained.accuracy,
        "validation_loss": judged.loss,
        "validation_accuracy": judged.accuracy,
    }


def write(state: State, progress: Progress, *, checkpoint: str) -> None:
    """Write what changes in this phase, and the optimizer behind it."""
    trainer: Trainer = state["trainer"]
    arrays.save(Path(checkpoint), [*trainer.network.changing, *trainer.optimizer.variables])


def restore(state: State, progress: Progress, *, checkpoint: str, optimizer: bool) -> None:
    """Read what ``write`` wrote in this phase, with its optimizer or without."""
    trainer: Trainer = state["trainer"]
    more = trainer.optimizer.variables if optimizer else []
    arrays.load(Path(checkpoint), [*trainer.network.changing, *more])


def save(state: State, progress: Progress, *, output: str) -> None:
    """Save the plain float32 model, and keep it for ``answer``."""
    state["model"] = state["trainer"].network.plain()
    state["model"].save(output)


def answer(state: State, progress: Progress, *, places: list[int]) -> list[int]:
    """The class that the saved model gives each of the pictures at ``places``."""
    trainer: Trainer = state["trainer"]
    return trainer.classes(state["model"], np.asarray(places, np.int64), progress)
