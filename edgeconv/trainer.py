"""Trainer: what the search and the recipe are given to train int8 weights by.

    prepared TFLite graph ──int8──► what is rounded, and how ──► trained weights
                                                                  │
                                    either format's graph ◄───────┘

It is always the TFLite form that is trained, whatever is exported: its weights and ranges are
the other's too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from edgeconv import making
from edgeconv.order import ExportRequest
from edgeconv.prepare.samples import Some
from edgeconv.progress import Progress
from edgeconv.qat import Taught, most_items, teach, transfer_ranges, transfer_weights
from edgeconv.targets import TARGETS
from edgeconv.types import Dataset, FloatGraph, Ranges, Recipe, SourceModel
from edgeconv.workshop import Workshop

__all__ = ["Trainer", "with_trainer"]


def with_trainer(
    pieces: Sequence[making.Piece],
    source: SourceModel,
    request: ExportRequest,
    workshop: Workshop,
    folder: Path,
    watch: Progress,
) -> list[making.Piece]:
    """The pieces, able to be trained where the order has it.

    Args:
        pieces: One a format.
        source: Loaded.
        request: Its ``qat`` and ``recipe``.
        workshop: Lowers to TFLite where that is no format of the order.
        folder: Scratch.
        watch: Told what is done.
    """
    if request.qat is None and request.recipe.qat is None:
        return list(pieces)
    known = {piece.graph.format: piece for piece in pieces}
    if "tflite" not in known:
        watch.stage("lower to TFLite, which is trained")
        graph = TARGETS["tflite"].lower(source, workshop, folder)
        (first, *_) = pieces
        known["tflite"] = making.observe(
            graph, first.calibration, request.recipe, watch, first.memo
        )
    trainer = Trainer(known["tflite"], source, folder / "qat", watch)
    return [replace(piece, train=trainer) for piece in pieces]


class Trainer:
    """Trains the weights of a recipe, once for both formats.

    Args:
        piece: Of TFLite.
        source: Its head's activation, and what its inputs are.
        folder: Scratch; is made.
        watch: Told of every epoch.
    """

    def __init__(
        self, piece: making.Piece, source: SourceModel, folder: Path, watch: Progress
    ) -> None:
        folder.mkdir()
        self._piece, self._source = piece, source
        self._folder, self._watch = folder, watch
        self._taught: dict[Recipe, Taught] = {}

    def __call__(
        self, piece: making.Piece, recipe: Recipe, folder: Path
    ) -> tuple[FloatGraph, Ranges]:
        """A piece's graph with trained weights, and its ranges as they were learned.

        Args:
            piece: Of either format.
            recipe: Its ``qat`` says how; what it keeps in float is trained in int8 too.
            folder: Where changed graphs are written.

        Raises:
            Unsupported: The model can't be trained, or the piece has other weights.
        """
        target, key = TARGETS[piece.graph.format], _trained_by(recipe)
        graph, ranges = making.prepared(piece, recipe, folder)
        if key not in self._taught:
            self._taught[key] = self._train(key)
        taught, seen = self._taught[key], [_seen(each, recipe) for each in (piece, self._piece)]
        changed = transfer_weights(taught, target.weights(graph))
        patched = target.patch(graph, changed, folder / f"trained{target.suffix}")
        return patched, transfer_ranges(taught, ranges, *seen)

    def _train(self, recipe: Recipe) -> Taught:
        folder = self._folder / f"{len(self._taught)}"
        folder.mkdir(exist_ok=True)
        graph, ranges = making.prepared(self._piece, recipe, folder)
        artifact, _ = making.write(graph, ranges, recipe, folder)
        assert recipe.qat is not None
        return teach(
            self._piece.graph,
            graph,
            ranges,
            artifact,
            self._dataset(),
            recipe.qat,
            self._source.activation,
            pictures=self._source.preprocess.kind == "image",
            folder=folder,
            progress=self._watch,
        )

    def _dataset(self) -> Dataset:
        assert self._piece.calibration is not None
        first = next(iter(self._piece.calibration.batches(1))).x
        return Some(self._piece.calibration, most_items(sum(x.nbytes for x in first)))


def _seen(piece: making.Piece, recipe: Recipe) -> tuple[Ranges, Mapping[str, str]]:
    rescaled = making.suited(piece, recipe)
    return rescaled.ranges, rescaled.graph.tensor_layers


def _trained_by(recipe: Recipe) -> Recipe:
    """All of a recipe that training depends on: what is kept in float afterwards is not."""
    ranged = [replace(s, precision=None) for s in recipe.scopes if s.calibrator]
    scopes = tuple(scope for scope in ranged if scope.format != "onnx")
    return replace(recipe, precision="int8", scopes=scopes, onnx_activations="unsigned")
