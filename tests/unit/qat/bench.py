"""A small model, lowered to both formats and observed, with what trains it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeconv import data, load, making
from edgeconv.progress import Silent
from edgeconv.targets import TARGETS
from edgeconv.types import Array, Artifact, Recipe, SourceModel
from edgeconv.workshop import Workshop

INT8 = Recipe(calibrator="minmax")
#: Cuts off so much that there is something to learn.
CLIPPED = Recipe(calibrator="percentile", percentile=95.0)


@dataclass(frozen=True)
class Lab:
    """What the tests of training work on.

    Attributes:
        workshop: Answers what ``qat_probe`` offers.
        folder: Scratch.
        source: Loaded.
        pieces: One a format.
        x: float32 [N, ...], the calibration set.
    """

    workshop: Workshop
    folder: Path
    source: SourceModel
    pieces: dict[str, making.Piece]
    x: Array

    def ask(self, function: str, **arguments: Any) -> Any:
        return self.workshop.call(f"qat_probe:{function}", **arguments)

    def stored(self, x: Array) -> str:
        np.save(self.folder / "x.npy", x)
        return str(self.folder / "x.npy")

    def int8(self, recipe: Recipe = INT8) -> Artifact:
        folder = self.folder / "int8"
        folder.mkdir(exist_ok=True)
        return making.make(self.pieces["tflite"], recipe, folder)[0]


@contextmanager
def small_lab(folder: Path) -> Iterator[Lab]:
    """The model of ``qat_probe`` with random pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        patch.delenv("PYTHONSAFEPATH", raising=False)
        with Workshop(folder) as workshop:
            workshop.call("qat_probe:save_model", out=str(folder / "small.keras"))
            x = _pictures(96)
            np.savez(folder / "pictures.npz", x=x)
            request = load.LoadRequest(str(folder / "small.keras"), preprocess="none")
            yield _lab(request, f"{folder / 'pictures.npz'}", workshop, folder)


def _pictures(count: int) -> Array:
    """uint8, smooth: neighbouring pixels are alike."""
    coarse = np.random.default_rng(5).uniform(0, 256, (count, 4, 4, 3))
    return np.kron(coarse, np.ones((1, 4, 4, 1))).astype(np.uint8)


def _lab(request: load.LoadRequest, pictures: str, workshop: Workshop, folder: Path) -> Lab:
    source = load.load(request, workshop, folder, Silent())
    order = data.DataRequest(calibration=pictures, parity=None)
    calibration, _ = data.choose(order, source, True, Silent())
    source = load.settle_task(source, labelled=False)
    pieces = {}
    for name, target in TARGETS.items():
        graph = target.lower(source, workshop, folder)
        pieces[name] = making.observe(graph, calibration, CLIPPED, Silent())
    assert calibration is not None
    x = np.concatenate([batch.x[0] for batch in calibration.batches(16)])
    return Lab(workshop, folder, source, pieces, x)
