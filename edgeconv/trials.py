"""Trials: what the search for a recipe is given to judge by.

    calibration set ──held back──► float graph in the target's engine ──► reference
                                 └► artifact of a recipe ──────────────► verify.judge ──► Score

The parity set is not among the arguments: no trial can read it.
"""

from __future__ import annotations

import math
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from edgeconv import data, making, prepare, verify
from edgeconv.calibrate import CALIBRATORS, clip
from edgeconv.order import ExportRequest
from edgeconv.progress import Progress, Silent
from edgeconv.recover import (
    Score,
    Workbench,
    climb,
    expected_drop,
    recovery_to_json,
    timings,
    typical_error,
)
from edgeconv.runtime.engines import Model
from edgeconv.steps import Found
from edgeconv.targets import TARGETS
from edgeconv.targets.gates import gates
from edgeconv.types import (
    Activation,
    Array,
    Artifact,
    ArtifactVerdict,
    Dataset,
    FloatGraph,
    Format,
    Ranges,
    Recipe,
    SourceModel,
)

__all__ = ["quantize"]

_FLOAT = Recipe(precision="fp32", passes=())
#: Items of a glance: layers differ by far more than eight pictures do.
_GLANCED = 8
#: Glances at one layer alone, of a float file up to this size; larger ones get fewer.
_MOST_GLANCES, _FEWEST_GLANCES, _QUICK_BYTES = 64, 16, 32e6


def quantize(
    pieces: Sequence[making.Piece],
    held: Dataset | None,
    source: SourceModel,
    request: ExportRequest,
    recipe: Recipe,
    folder: Path,
    watch: Progress,
) -> Found:
    """Quantize by the recipe, or by the one that a search from there comes to.

    Args:
        pieces: One a format, in the export's order.
        held: What was held back of the calibration set, for the search; None where
            there is nothing to search by.
        source: Its task and its head's activation.
        request: Its effort, gate, budget, limits and device.
        recipe: Where the search begins.
        folder: Scratch.
        watch: Told what is done.
    """
    searches = request.effort != "fast" and recipe.precision == "int8"
    if searches and held is None:
        left = ""
        if request.qat:
            left = ", untrained: --qat has nothing to be judged on (--effort fast doesn't judge)"
        watch.note(f"too few calibration items to search by; the recipe is taken as it is{left}")
    if not searches or held is None:
        watch.stage("quantize")
        return Found(recipe, [making.make(piece, recipe, folder) for piece in pieces])
    bench = _workbench(pieces, held, source, request, recipe, folder)
    recovery = climb(bench, recipe, request.effort, watch, request.budget_s)
    opened = [(each, TARGETS[each.format].open(each)) for each in recovery.artifacts]
    made = opened or [making.make(piece, recipe, folder) for piece in pieces]
    calibrated = len(pieces[0].calibration or ())
    account = recovery_to_json(recovery, calibrated=calibrated, held=len(held))
    return Found(recovery.recipe, made, account, timings(recovery))


def _workbench(
    pieces: Sequence[making.Piece],
    held: Dataset,
    source: SourceModel,
    request: ExportRequest,
    recipe: Recipe,
    folder: Path,
) -> Workbench:
    trials = _Trials(pieces, held, source, request, folder)
    int8 = request.device.int8 if request.device else None
    lifts = int8 is None or not int8.integer_only
    return Workbench(
        formats=tuple(piece.graph.format for piece in pieces),
        layers=_liftable(pieces[0].graph, source, recipe) if lifts else (),
        known=frozenset({*prepare.PASSES, *CALIBRATORS}),
        attempt=trials.attempt,
        glance=trials.glance,
        glances=_glances(pieces[0].graph),
        forget=trials.forget,
        weights=partial(_weights, pieces[0].graph),
        gates=partial(_gates, pieces) if lifts else tuple,
        qat=request.qat,
    )


def _glances(graph: FloatGraph) -> int:
    """How many glances a model affords: its size tells, so that the number is always the same.

    MobileNetV2 (14 MB) takes half a second each in TFLite, and four times that in ONNX.
    """
    most = _MOST_GLANCES if graph.format == "tflite" else _MOST_GLANCES // 4
    return max(_FEWEST_GLANCES, min(most, int(most * _QUICK_BYTES / graph.path.stat().st_size)))


def _liftable(graph: FloatGraph, source: SourceModel, recipe: Recipe) -> tuple[str, ...]:
    """The Keras layers of a graph that are not in float already."""
    known = set(source.layers)
    names = (layer.name.partition("#")[0] for layer in TARGETS[graph.format].layers(graph))
    return tuple(
        dict.fromkeys(
            name
            for name in names
            if name in known and recipe.precision_of(name, graph.format) == recipe.precision
        )
    )


def _weights(graph: FloatGraph) -> Counter[str]:
    """How many weights each Keras layer has."""
    found: Counter[str] = Counter()
    for name, (kernel, _) in TARGETS[graph.format].weights(graph).items():
        found[name.partition("#")[0]] += kernel.size
    return found


def _gates(pieces: Sequence[making.Piece]) -> tuple[str, ...]:
    """The layers of squeeze-and-excite branches, by the names that either format has for them."""
    names: dict[str, None] = {}
    for graph in (piece.graph for piece in pieces):
        target = TARGETS[graph.format]
        names |= dict.fromkeys(gates(target.layers(graph), target.flows(graph)))
    return tuple(names)


class _Trials:
    """Makes artifacts of recipes and judges them, one at a time."""

    def __init__(
        self,
        pieces: Sequence[making.Piece],
        held: Dataset,
        source: SourceModel,
        request: ExportRequest,
        folder: Path,
    ) -> None:
        self._pieces = {piece.graph.format: piece for piece in pieces}
        self._first = pieces[0].graph.format
        self._source, self._request = source, request
        self._folder = folder / "trials"
        self._folder.mkdir()
        self._count = 0
        self._held = data.Stored(held, self._folder)
        self._references: dict[Format, list[Array]] = {}
        self._glanced: dict[Recipe, tuple[FloatGraph, Ranges]] = {}

    def attempt(self, recipe: Recipe, format: Format) -> Score:
        """The recipe's artifact in one format, judged on everything held back."""
        artifact, model = self._make(recipe, format)
        runner = _Watched(model)
        verdict = verify.judge(
            [(artifact, runner)],
            self._reference(format),
            self._held,
            self._source.task,
            self._source.activation,
            self._request.gate,
            Silent(),
            batch_size=1,
        )
        found, latency_ms = verdict.artifacts[0], runner.median_ms
        expected = self._expected(found, self._reference(format)[0], runner)
        estimates = _estimates(found, expected)
        return Score(
            artifact=artifact,
            holds=any(estimates),
            doubtful=not all(estimates),
            loss=_loss(found, self._source.activation),
            missed=_missed(found, len(self._held)),
            metrics=found.metrics,
            reason=found.reason,
            latency_ms=latency_ms,
            exceeds=self._request.limits.exceeded(artifact.size_bytes, latency_ms),
            expected_drop=expected,
            typical=self._typical(runner, self._reference(format)[0]),
        )

    def _typical(self, runner: _Watched, reference: Array) -> float | None:
        """See ``Score.typical``."""
        if self._source.activation != "softmax":
            return None
        return 100.0 * math.sqrt(typical_error(reference, runner.answers))

    def _expected(self, found: ArtifactVerdict, reference: Array, runner: _Watched) -> float | None:
        """What the changed answers cost by the original's own probabilities, where it has any."""
        if found.gated != "top1_drop" or self._source.activation != "softmax":
            return None
        rows = reference.reshape(len(reference), -1)
        return (
            expected_drop(rows, runner.answers.reshape(rows.shape)) if rows.shape[1] > 1 else None
        )

    def glance(self, recipe: Recipe) -> float:
        """Error power over signal power of the first output, on a few items."""
        folder = self._new_folder()
        _, model = making.write(*self._prepared(recipe), recipe, folder)
        count = len(self._held)
        places = sorted({place * count // _GLANCED for place in range(_GLANCED)})
        expected = self._reference(self._first)[0][places].astype(np.float64).ravel()
        answers = [model(*x)[0] for x in self._held.items(places)]
        found = np.concatenate(answers).astype(np.float64).ravel()
        shutil.rmtree(folder)
        error, signal = ((found - expected) ** 2).sum(), (expected**2).sum()
        return float(error / signal) if signal else float(error)

    def forget(self, needed: Sequence[Score]) -> None:
        """Delete every trial's files but those of ``needed``."""
        kept = {score.artifact.path.parents[1] for score in needed}
        for folder in self._folder.iterdir():
            if folder.name.isdigit() and folder not in kept:
                shutil.rmtree(folder)

    def _prepared(self, recipe: Recipe) -> tuple[FloatGraph, Ranges]:
        """A graph and ranges that serve every glance, whichever layers are in float.

        Rounding, bias correction and training are left out: their weights would be wrong for
        layers in float, and they hardly change which layers lose most.
        """
        wanted = (*prepare.RESCALING, "lift_channels")
        passes = tuple(name for name in recipe.passes if name in wanted)
        ranged = tuple(replace(s, precision=None) for s in recipe.scopes if s.calibrator)
        base = replace(recipe, precision="int8", passes=passes, scopes=ranged, qat=None)
        if base not in self._glanced:
            piece = making.suited(self._pieces[self._first], base)
            target, folder = TARGETS[self._first], self._folder / "glances"
            folder.mkdir(exist_ok=True)
            clipped = clip(piece.ranges, base, piece.graph)
            self._glanced[base] = prepare.apply(target, piece.graph, clipped, base, folder), clipped
        return self._glanced[base]

    def _new_folder(self) -> Path:
        self._count += 1
        folder = self._folder / f"{self._count}"
        folder.mkdir()
        return folder

    def _make(self, recipe: Recipe, format: Format) -> tuple[Artifact, Model]:
        folder = self._new_folder()
        piece = self._pieces[format]
        made = making.make(piece, recipe, folder)
        for passing in folder.iterdir():
            if passing.is_file():  # float graphs that the passes wrote on their way
                passing.unlink()
        return made

    def _reference(self, format: Format) -> list[Array]:
        """What the float graph answers to the held-back items, through the device's engine."""
        if format not in self._references:
            folder = self._folder / f"float-{format}"
            folder.mkdir()
            _, model = making.write(self._pieces[format].graph, {}, _FLOAT, folder)
            rows = [model(*x) for x in self._held.items()]
            self._references[format] = [np.concatenate(each) for each in zip(*rows, strict=True)]
            shutil.rmtree(folder)
        return self._references[format]


class _Watched:
    """A model whose runs are timed: one item each, so that their median is a latency."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._times: list[float] = []
        self._answers: list[Array] = []

    def __call__(self, *x: Array) -> tuple[Array, ...]:
        started = time.perf_counter()
        answers = self._model(*x)
        self._times.append(time.perf_counter() - started)
        self._answers.append(answers[0])
        return answers

    @property
    def answers(self) -> Array:
        """The first output, of all items."""
        return np.concatenate(self._answers)

    @property
    def median_ms(self) -> float:
        return float(np.median(self._times)) * 1e3


def _estimates(verdict: ArtifactVerdict, expected: float | None) -> tuple[bool, ...]:
    """Whether the gate holds: by the count, and by what the changed answers are expected to cost.

    Where the count decides, it alone.
    """
    counted = verify.acceptable(verdict, "estimate")
    if verdict.status != "inconclusive" or verdict.limit is None or expected is None:
        return (counted,)
    return counted, expected <= verdict.limit


def _loss(verdict: ArtifactVerdict, activation: Activation) -> float:
    """See ``Score.loss``."""
    metrics = verdict.metrics
    if "agreement" not in metrics:
        error = metrics.get("relative_error")
        return error if isinstance(error, float) else math.inf
    kl, sqnr = metrics.get("mean_kl"), metrics.get("sqnr_db")
    if not isinstance(kl, float) or not isinstance(sqnr, float):
        return 0.0 if metrics.get("max_relative_difference") == 0.0 else math.inf
    error = 100.0 * 10.0 ** (-sqnr / 20.0)
    # Scores that no softmax was taken off have no divergence to speak of.
    return error if activation == "linear" else math.sqrt(math.sqrt(kl) * error)


def _missed(verdict: ArtifactVerdict, samples: int) -> int:
    agreement = verdict.metrics.get("agreement")
    return round((100.0 - agreement) / 100.0 * samples) if isinstance(agreement, float) else 0
