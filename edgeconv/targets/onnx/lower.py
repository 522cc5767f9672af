"""Lower: a frozen graph -> a float32 ONNX file with a free batch axis.

A conversion that returned is not a conversion that worked, so the file is checked,
loaded and run here; the comparison with the original is the pipeline's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from edgeconv.errors import EdgeconvError, InternalError, Unsupported
from edgeconv.runtime.engines import open_model
from edgeconv.targets.names import layer_of
from edgeconv.targets.onnx import passes
from edgeconv.targets.onnx.graph import assign_layers
from edgeconv.targets.onnx.model import Model, fresh_name, read, specs, write
from edgeconv.targets.onnx.outside import files_beside
from edgeconv.targets.onnx.put_back import put_back
from edgeconv.targets.onnx.take_out import Place
from edgeconv.types import Array, FloatGraph, SourceModel
from edgeconv.workshop import Workshop

__all__ = ["lower_source"]

#: More than one, so that a batch axis that was fixed shows.
_TRIAL_ITEMS = 2


def lower_source(source: SourceModel, workshop: Workshop, folder: Path) -> FloatGraph:
    """Lower ``source``: tf2onnx in the workshop, graph passes here.

    Args:
        source: The frozen graph and its specs.
        workshop: Where TensorFlow lives.
        folder: Gets ``float.onnx``.

    Returns:
        The float graph, BatchNorm folded. Its inputs are named as the source's, its
        outputs after their layers.

    Raises:
        Unsupported: An operator that ONNX lacks, by name and layer.
    """
    raw = folder / "tf2onnx.onnx"
    kernels = workshop.call(
        "edgeconv.targets.onnx.convert:convert",
        graph=str(source.graph),
        inputs=[spec.name for spec in source.inputs],
        outputs=[spec.name for spec in source.outputs],
        out=str(raw),
    )
    model = read(raw)
    raw.unlink()
    places = [Place(name, at, tuple(shape)) for name, at, shape in kernels]
    model = finish(model, source, put_back(model, places, source.graph))
    path = folder / "float.onnx"
    write(model, path)
    _try(path, source)
    inputs, outputs = specs(model)
    return FloatGraph("onnx", path, inputs, outputs, assign_layers(model, source.layers))


def finish(model: Model, source: SourceModel, kernels: Mapping[str, Callable[[], Array]]) -> Model:
    """What tf2onnx wrote, and its kernels -> the float model that ships."""
    layers = frozenset(source.layers)
    taken = {spec.name for spec in source.inputs}
    context = passes.Context(
        name=source.name,
        layers=layers,
        inputs=tuple(spec.name for spec in source.inputs),
        outputs=tuple(
            fresh_name(layer_of(spec.name, layers) or spec.name, taken) for spec in source.outputs
        ),
        kernels=kernels,
    )
    return passes.run(model, context)


def _try(path: Path, source: SourceModel) -> None:
    """Check the file, load it and run it on random numbers.

    Raises:
        Unsupported: onnxruntime can't run it.
        InternalError: It is no valid ONNX, or its output has the wrong shape.
    """
    import onnx

    try:
        onnx.checker.check_model(str(path))
    except onnx.checker.ValidationError as error:
        cause = str(error).strip().splitlines()[0]
        raise InternalError(f"The converted ONNX model is not valid: {cause}") from error
    rng = np.random.default_rng(0)
    x = [
        rng.random((_TRIAL_ITEMS, *(n or 1 for n in spec.shape[1:])), np.float32)
        for spec in source.inputs
    ]
    try:
        model = open_model(
            path.read_bytes(), "onnx", engine="onnxruntime", files=files_beside(path)
        )
        answers = model(*x)
    except EdgeconvError as error:
        raise Unsupported(
            f"The converted ONNX model does not run: {error.message}",
            "Export with --format tflite.",
        ) from error
    for answer, spec in zip(answers, source.outputs, strict=True):
        wanted = tuple(spec.shape[1:])
        if len(answer) != _TRIAL_ITEMS or any(
            n is not None and n != m for n, m in zip(wanted, answer.shape[1:], strict=True)
        ):
            raise InternalError(
                f"The converted ONNX model answers {list(answer.shape)} for {spec.name!r},"
                f" not {[_TRIAL_ITEMS, *wanted]}."
            )
