"""Calibration inputs without data: the parent's side of ``load.distill``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv.preprocess import Preprocess, normalize
from edgeconv.progress import Progress
from edgeconv.types import Array, SourceModel
from edgeconv.workshop import Workshop

__all__ = ["Synthesis", "synthesise"]


@dataclass(frozen=True)
class Synthesis:
    """Inputs that were made up.

    Attributes:
        x: One float32 array a model input, each [N, ...], as the model takes it.
        origin: What a manifest says of them.
    """

    x: tuple[Array, ...]
    origin: str


def synthesise(
    source: SourceModel, seed: int, workshop: Workshop, folder: Path, progress: Progress
) -> Synthesis:
    """Make inputs from the statistics in the model's BatchNorms, or take those made before.

    Args:
        source: Loaded in ``workshop``, whose cache is used where it has one.
        seed: Of the noise that they begin as.
        workshop: Holds the live model.
        folder: Scratch folder.
        progress: Told of every step, and how near the statistics were met.

    Raises:
        Unsupported: The model has no BatchNorm, or no gradient reaches its inputs.
    """
    paths = [folder / f"synthesised-{index}.npy" for index in range(len(source.inputs))]
    arguments = {
        "ends": _ends(source.preprocess),
        "classifies": source.task == "classification",
        "seed": seed,
    }
    key = {"kind": "synthesis", "graph": source.graph_sha256, **arguments}
    cache = workshop.cache if source.graph_sha256 else None
    made = cache.fetch(key, folder) if cache else None
    if made is None:
        made = workshop.call(
            "edgeconv.load.distill:synthesise",
            progress,
            outputs=[str(path) for path in paths],
            **arguments,
        )
        if cache:
            cache.keep(key, made, paths)
    progress.note(
        f"no data was read: calibrated on {made['count']} inputs synthesised from"
        f" {made['norms']} BatchNorms (loss {made['before']:.3g} to {made['after']:.3g})"
    )
    x = tuple(np.load(path, allow_pickle=False) for path in paths)
    return Synthesis(x, f"synthesised from BatchNorm statistics (ZeroQ), seed {seed}")


def _ends(preprocess: Preprocess) -> list[Any] | None:
    """Black and white as the model takes them; None where inputs are no pictures."""
    if preprocess.kind != "image":
        return None
    pixels = np.array([0.0, 255.0], np.float32).reshape(2, 1, 1, 1)
    ends = normalize(preprocess, np.broadcast_to(pixels, (2, 1, 1, preprocess.channels)))
    return [np.minimum(*ends).tolist(), np.maximum(*ends).tolist()]
