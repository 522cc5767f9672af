"""A workbench for the tests: a model of NumPy whose layers round their weights for real.

    y = W_n f( ... f(W_1 x)),    f = ReLU, every W rounded to 127 steps either way

A layer with one weight far above the others loses nearly all of them to its step; it
stands where it reads nothing but zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgeconv.recover import Score, Workbench
from edgeconv.types import Array, Artifact, Format, Recipe

WIDTH = 12


@dataclass
class Bench:
    """The tests' model, and what was asked of it.

    Attributes:
        outliers: Size of the largest weight of each layer, beside others of about 1.
        gains: Pass, calibrator or ``training`` -> factor on what rounding costs.
        limit: Of the relative error, percent: the gate.
    """

    outliers: Sequence[float] = (1, 1, 1, 1, 1, 1)
    gains: dict[str, float] = field(default_factory=dict)
    limit: float = 5.0
    formats: tuple[Format, ...] = ("tflite", "onnx")
    seed: int = 0
    attempts: list[tuple[Recipe, Format]] = field(default_factory=list)
    alive: set[Path] = field(default_factory=set)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        self.x = np.abs(rng.normal(size=(40, WIDTH)))
        self.x[:, -1] = 0.0
        self.weights = []
        for outlier in self.outliers:
            weight = rng.normal(size=(WIDTH, WIDTH)) / np.sqrt(WIDTH)
            weight[:, -1] = 0.0  # the last channel is dead: what reads it changes nothing,
            weight[-1, 0] = outlier  # but the layer's step
            self.weights.append(weight)
        self.layers = tuple(f"layer_{i}" for i in range(len(self.weights)))
        self.reference = self.run(Recipe(precision="fp32"), "tflite")

    def run(self, recipe: Recipe, format: Format) -> Array:
        """float64 [N, WIDTH]: what the quantized model answers."""
        factor = 1.0 if format == "tflite" else 0.9
        trained = ("training",) if recipe.qat else ()
        for name in (recipe.calibrator_of("layer_0", format), *recipe.passes, *trained):
            factor *= self.gains.get(name, 1.0)
        x = self.x
        for name, weight in zip(self.layers, self.weights, strict=True):
            step = np.abs(weight).max() / 127
            if recipe.precision_of(name, format) == "int8":
                weight = weight + factor * (np.rint(weight / step) * step - weight)
            x = np.maximum(x @ weight, 0.0)
        return x

    def error(self, recipe: Recipe, format: Format) -> float:
        """Error power over signal power."""
        found = self.run(recipe, format) - self.reference
        return float((found**2).sum() / (self.reference**2).sum())

    def attempt(self, recipe: Recipe, format: Format) -> Score:
        self.attempts.append((recipe, format))
        loss = 100 * self.error(recipe, format) ** 0.5
        path = Path(f"{len(self.attempts)}") / "int8" / f"model.{format}"
        self.alive.add(path)
        floats = sum(recipe.precision_of(n, format) == "fp32" for n in self.layers)
        artifact = Artifact(format, "int8", path, "", 1000 + 100 * floats, (), (), recipe, {}, {})
        metrics = {"relative_error": loss}
        return Score(artifact, loss <= self.limit, loss, 0, metrics, f"{loss:.2f}%", 1.0)

    def forget(self, needed: Sequence[Score]) -> None:
        self.alive &= {score.artifact.path for score in needed}

    def workbench(self, **changes: object) -> Workbench:
        given = {
            "formats": self.formats,
            "layers": self.layers,
            "known": frozenset({"minmax", "percentile", "correct_bias", *self.gains}),
            "attempt": self.attempt,
            "glance": lambda recipe: self.error(recipe, self.formats[0]),
            "glances": 64,
            "forget": self.forget,
        }
        return Workbench(**(given | changes))  # type: ignore[arg-type]

    def floats(self, recipe: Recipe, format: Format) -> list[str]:
        """The layers that a recipe keeps in float."""
        return [n for n in self.layers if recipe.precision_of(n, format) == "fp32"]
