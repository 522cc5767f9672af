"""Making: from a float graph and what calibration saw in it to an artifact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgeconv import prepare
from edgeconv.calibrate import clip, needs_histograms
from edgeconv.progress import Progress, Silent
from edgeconv.runtime.engines import Model
from edgeconv.targets import TARGETS
from edgeconv.targets.saturation import with_floors
from edgeconv.types import Artifact, Dataset, FloatGraph, Ranges, Recipe

__all__ = ["Piece", "Train", "make", "observe", "prepared", "suited", "write"]


@dataclass(frozen=True)
class Piece:
    """A float graph on its way.

    Attributes:
        graph: As it was lowered.
        ranges: What calibration saw in it; none where the precision needs none.
        calibration: On what; None likewise.
        suited: The same after passes that rescale channels, by their names, and with its
            values counted or not.
        train: Prepares and trains; None where no recipe asks for it.
        memo: What passes worked out, for every format and recipe.
    """

    graph: FloatGraph
    ranges: Ranges
    calibration: Dataset | None
    train: Train | None = field(default=None, repr=False, compare=False)
    suited: dict[tuple[tuple[str, ...], bool], Piece] = field(
        default_factory=dict, repr=False, compare=False
    )
    memo: prepare.Memo = field(default_factory=dict, repr=False, compare=False)

    @property
    def counted(self) -> bool:
        """Whether the values of activations were counted."""
        return any(seen.counts is not None for seen in self.ranges.values())


#: (piece, recipe, scratch folder) -> the graph with trained weights, and ranges.
Train = Callable[[Piece, Recipe, Path], tuple[FloatGraph, Ranges]]


def observe(
    graph: FloatGraph,
    calibration: Dataset | None,
    recipe: Recipe,
    watch: Progress,
    memo: prepare.Memo | None = None,
) -> Piece:
    """Run the float graph over the calibration set.

    Args:
        graph: Float.
        calibration: Read once; None where the precision needs none.
        recipe: Its calibrators decide what is kept of the activations.
        watch: Told what is being done.
        memo: Shared by the formats of an export; None for this one's own.
    """
    if calibration is None:
        return Piece(graph, {}, None)
    target = TARGETS[graph.format]
    watch.stage(f"calibrate {target.title}", len(calibration))
    ranges = _watched(graph, calibration, watch, histograms=needs_histograms(recipe))
    return Piece(graph, ranges, calibration, memo={} if memo is None else memo)


def _watched(
    graph: FloatGraph, calibration: Dataset, watch: Progress, *, histograms: bool
) -> Ranges:
    """What calibration saw, and what of it the next layers can tell apart."""
    target = TARGETS[graph.format]
    ranges = target.observe(graph, calibration, watch, histograms=histograms)
    return with_floors(ranges, target.layers(graph), [spec.name for spec in graph.outputs])


def make(piece: Piece, recipe: Recipe, folder: Path) -> tuple[Artifact, Model]:
    """Clip the ranges, prepare the weights, train them where the recipe says so, quantize.

    Args:
        piece: A float graph and what was seen in it.
        recipe: How.
        folder: Scratch.

    Returns:
        The artifact, and what runs it.
    """
    how = piece.train if recipe.qat is not None and piece.train is not None else prepared
    graph, ranges = how(piece, recipe, folder)
    return write(graph, ranges, recipe, folder)


def prepared(piece: Piece, recipe: Recipe, folder: Path) -> tuple[FloatGraph, Ranges]:
    """The graph after the recipe's passes, and its clipped ranges; not trained.

    Args:
        piece: A float graph and what was seen in it.
        recipe: How.
        folder: Scratch.
    """
    if piece.calibration is None:
        return piece.graph, {}
    recipe = replace(recipe, qat=None)
    samples = prepare.Samples(piece.calibration, piece.memo)
    target, piece = TARGETS[piece.graph.format], suited(piece, recipe)
    clipped = clip(piece.ranges, recipe, piece.graph)
    graph = prepare.apply(target, piece.graph, clipped, recipe, folder, samples)
    return graph, clipped


def suited(piece: Piece, recipe: Recipe) -> Piece:
    """The piece as a recipe needs it: its channels rescaled, its values counted.

    Activations are observed anew where passes of the recipe rescale channels, or its
    calibrators look at more than was seen; once, however often it is asked for.
    """
    if piece.calibration is None:
        return piece
    names = tuple(name for name in recipe.passes if name in prepare.RESCALING)
    counted = piece.counted or needs_histograms(recipe)
    if (names, counted) not in piece.suited:
        target, folder = TARGETS[piece.graph.format], piece.graph.path.parent / "rescaled"
        folder.mkdir(exist_ok=True)
        graph = prepare.rescale(target, piece.graph, piece.ranges, recipe, folder)
        found = piece
        if graph is not piece.graph or counted != piece.counted:
            ranges = _watched(graph, piece.calibration, Silent(), histograms=counted)
            found = replace(piece, graph=graph, ranges=ranges, suited={})
        piece.suited[names, counted] = found
    return piece.suited[names, counted]


def write(
    graph: FloatGraph, ranges: Ranges, recipe: Recipe, folder: Path
) -> tuple[Artifact, Model]:
    """Write the artifact and open it with the engine that ships."""
    target = TARGETS[graph.format]
    path = folder / recipe.precision / f"model{target.suffix}"
    path.parent.mkdir(exist_ok=True)
    artifact = target.quantize(graph, ranges, recipe, path)
    return artifact, target.open(artifact)
