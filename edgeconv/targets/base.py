"""The Target protocol: two formats, one shape.

The search and the gate know nothing of TFLite or ONNX; they see this.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from edgeconv.progress import Progress
from edgeconv.runtime.engines import Model
from edgeconv.targets.anatomy import Anatomy
from edgeconv.targets.flow import Flow
from edgeconv.types import (
    Array,
    Artifact,
    Dataset,
    FloatGraph,
    Layer,
    Precision,
    Ranges,
    Recipe,
    SourceModel,
    Weights,
)
from edgeconv.workshop import Workshop

__all__ = ["Runner", "Target"]

#: Float inputs of the source model (one array each, [N, ...]) -> float outputs.
#: Quantizes and dequantizes at the border as the device's runtime does.
Runner = Model


class Target(Protocol):
    """One model format: how to make it, observe it, quantize it, run it."""

    name: str
    title: str
    suffix: str
    precisions: tuple[Precision, ...]

    def lower(self, source: SourceModel, workshop: Workshop, folder: Path) -> FloatGraph:
        """Slow, once: the frozen graph in this format's float form, written to ``folder``."""

    def layers(self, graph: FloatGraph) -> list[Layer]:
        """The compute steps, in execution order, under their Keras names."""

    def flows(self, graph: FloatGraph) -> list[Flow]:
        """How factors on channels pass through its operators, in execution order."""

    def weights(self, graph: FloatGraph) -> Weights:
        """The float weights that passes may change, BatchNorm folded."""

    def weights_in(
        self, graph: FloatGraph, file: Anatomy
    ) -> Iterator[tuple[str, Array, Array | None]]:
        """What a file of edgeconv's holds in place of ``weights``.

        Args:
            graph: The float graph that the file was made from.
            file: Any precision.

        Yields:
            Layer, kernel in the Keras layout, and bias: real values, in the graph's
            order; nothing for a layer that the file doesn't have.
        """

    def patch(self, graph: FloatGraph, weights: Weights, path: Path) -> FloatGraph:
        """``graph`` with the constants of ``weights`` swapped in, written to ``path``."""

    def observe(
        self, graph: FloatGraph, dataset: Dataset, progress: Progress, *, histograms: bool = False
    ) -> Ranges:
        """True min/max (and histograms) of every activation, streaming."""

    def activations(
        self, graph: FloatGraph, tensors: Collection[str], dataset: Dataset
    ) -> Iterator[Mapping[str, Array]]:
        """What ``tensors`` hold, item by item: float, batch axis first, in the file's layout."""

    def quantize(self, graph: FloatGraph, ranges: Ranges, recipe: Recipe, path: Path) -> Artifact:
        """Cheap: write the artifact to ``path``. ``ranges`` are already clipped."""

    def open(self, artifact: Artifact) -> Runner:
        """The same engine that the device has, on the file's bytes."""

    def anatomy(self, content: bytes) -> Anatomy:
        """The inside of any file of this format, edgeconv's own or another's."""
