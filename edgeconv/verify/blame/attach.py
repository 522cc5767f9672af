"""A verdict with the blame in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edgeconv.errors import EdgeconvError
from edgeconv.progress import Progress
from edgeconv.types import Array, Artifact, ArtifactVerdict, FloatGraph
from edgeconv.verify.blame.layers import blame

__all__ = ["with_layers"]


def with_layers(
    verdict: ArtifactVerdict,
    artifact: Artifact,
    graph: FloatGraph,
    x: Sequence[Array],
    progress: Progress,
) -> ArtifactVerdict:
    """``verdict`` with its layers, worst first.

    Args:
        verdict: Of ``artifact``.
        artifact: The file.
        graph: The model lowered to that format.
        x: One float32 array [N, ...] an input, preprocessed.
        progress: Told where layers can't be compared; the verdict stays as it was then.
    """
    try:
        return replace(verdict, layers=blame(artifact, graph, x))
    except EdgeconvError as error:
        progress.note(f"no layer of {verdict.file} could be blamed: {error.message}")
        return verdict
