"""What must be the same for a stopped training to go on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from edgeconv.errors import UsageError
from edgeconv.pictures import printable

__all__ = ["PRECISION", "refuse_other"]

#: Key of how the device computes, known once TensorFlow has seen it.
PRECISION: Final = "precision"

#: What a person changed where a checkpoint says otherwise.
_NAMES: Final[Mapping[str, str]] = {
    "base": "BASE",
    "size": "--size",
    "alpha": "--alpha",
    "weights": "--weights",
    "weights_sha256": "the weights' file",
    "epochs": "--epochs",
    "unfreeze": "--unfreeze",
    "scratch": "--weights",
    "batch": "--batch",
    "learning_rate": "--learning-rate",
    "seed": "--seed",
    "mirror": "--no-mirror",
    "pictures": "the set of pictures",
    PRECISION: "the device's precision",
}


def refuse_other(known: Mapping[str, Any], wanted: Mapping[str, Any], folder: Path) -> None:
    """See that a training goes on as it was begun.

    Args:
        known: Of the checkpoint.
        wanted: Of the order; what it doesn't know yet is left out.
        folder: Of the training.

    Raises:
        UsageError: It doesn't; the message names what differs.
    """
    for key, name in _NAMES.items():
        if key == PRECISION and (key not in wanted or key not in known):
            continue  # nothing was trained yet, or the device was not yet asked
        before, now = known.get(key), wanted.get(key)
        if before != now:
            detail = "" if key in ("pictures", "weights_sha256") else f" ({before}, now {now})"
            raise UsageError(
                f"{printable(folder)} was begun with other values: {name} differs{detail}.",
                "Give what it was begun with, or begin anew with --force.",
            )
