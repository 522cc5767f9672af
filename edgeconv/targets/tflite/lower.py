"""Lower: a frozen graph with a free batch axis -> a float32 TFLite file with batch 1.

A free batch axis would leave SHAPE, STRIDED_SLICE and PACK before each RESHAPE,
and float DEQUANTIZE around them in an int8 model. Starting from the frozen graph
(and not from a Keras model) skips a SavedModel round trip of most of the time,
and keeps the node names, which begin with layer paths.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from edgeconv.errors import InternalError, Unsupported
from edgeconv.progress import Progress
from edgeconv.targets.names import layer_of
from edgeconv.targets.tflite import flatbuffer
from edgeconv.targets.tflite.check import refuse_unrunnable
from edgeconv.targets.tflite.depthwise import grouped_to_depthwise
from edgeconv.targets.tflite.graph import assign_layers, layers
from edgeconv.types import FloatGraph, SourceModel, TensorSpec
from edgeconv.workshop import Workshop

__all__ = ["lower", "lower_source"]

_HINT: Final = "Replace the layer with one made of common operations, or take --format onnx."

State = dict[str, Any]
Spec = dict[str, Any]


def lower_source(source: SourceModel, workshop: Workshop, folder: Path) -> FloatGraph:
    """Lower ``source`` in the workshop.

    Args:
        source: The frozen graph and its specs.
        workshop: Where TensorFlow lives.
        folder: Gets ``float.tflite``.

    Returns:
        The float graph with batch 1; its outputs bear the names of the source's.

    Raises:
        Unsupported: Operators that only Flex or custom kernels have.
    """
    path = folder / "float.tflite"
    result = workshop.call(
        "edgeconv.targets.tflite.lower:lower",
        graph=str(source.graph),
        inputs=[_as_json(spec) for spec in source.inputs],
        outputs=[_as_json(spec) for spec in source.outputs],
        out=str(path),
    )
    if result["unsupported"]:
        raise _unsupported(result["unsupported"], source.layers)
    return _describe(source, path)


def lower(
    state: State,
    progress: Progress,
    *,
    graph: str,
    inputs: list[Spec],
    outputs: list[Spec],
    out: str,
) -> dict[str, Any]:
    """The workshop's side: convert ``graph`` and write the file to ``out``.

    Returns:
        ``unsupported``: (operator, node name) pairs; none where it worked.
    """
    from tensorflow.lite.python import convert
    from tensorflow.lite.python.convert_phase import ConverterError

    model_flags, flags = _flags(inputs, outputs)
    try:
        # As of TFLiteConverter, the bytes are not held here while they are worked on.
        content = convert.convert(model_flags, flags, Path(graph).read_bytes())
    except ConverterError as error:
        found = _operators_of(error)
        if not found:
            raise
        return {"unsupported": found}
    flatbuffer.write_bytes(content, Path(out))
    return {"unsupported": []}


def _flags(inputs: list[Spec], outputs: list[Spec]) -> tuple[Any, Any]:
    """What ``TFLiteConverter`` tells the converter, as protocol buffers.

    It would first import and freeze the frozen graph once more, and afterwards take the
    file apart to put its own name in: nine tenths of the time for DenseNet121, and for
    VGG16 10 GB where this takes 4.
    """
    import tensorflow as tf
    from tensorflow.lite.python import convert

    flags = convert.build_conversion_flags(enable_composite_direct_lowering=True)
    model_flags = convert.build_model_flags()
    for spec in inputs:
        array = model_flags.input_arrays.add(name=spec["name"])
        array.shape.dims.extend([1, *spec["shape"][1:]])
        dtype = tf.dtypes.as_dtype(spec["dtype"])
        array.data_type = convert.convert_tensor_tf_type_to_tflite_type(dtype)
    model_flags.output_arrays.extend(spec["name"] for spec in outputs)
    return model_flags, flags


def _operators_of(error: Any) -> list[tuple[str, str]]:
    """Operator and node name of each part of the graph that has no built-in kernel."""
    return [
        (found.operator.name.removeprefix("tf."), next((c.name for c in found.location.call), ""))
        for found in error.errors
        # A constant that only an unsupported operator reads is named beside it.
        if found.HasField("operator") and found.operator.name != "tf.Const"
    ]


def _unsupported(found: Sequence[Sequence[str]], layers: Sequence[str]) -> Unsupported:
    places = {f"{op} (layer {layer_of(node, set(layers)) or node or '?'})" for op, node in found}
    return Unsupported(
        f"TFLite has no built-in operator for {', '.join(sorted(places))}.",
        _HINT,
    )


def _describe(source: SourceModel, path: Path) -> FloatGraph:
    model = flatbuffer.read(path)
    grouped_to_depthwise(model)
    tensor_layers = assign_layers(model, set(source.layers))
    renamed = flatbuffer.rename_outputs(model, [spec.name for spec in source.outputs])
    flatbuffer.write(model, path)
    inputs, outputs = flatbuffer.specs(model)
    if [s.name for s in inputs] != [s.name for s in source.inputs]:
        raise InternalError(f"TFLite's converter renamed the inputs to {[s.name for s in inputs]}.")
    graph = FloatGraph(
        format="tflite",
        path=path,
        inputs=inputs,
        outputs=outputs,
        tensor_layers={renamed.get(name, name): layer for name, layer in tensor_layers.items()},
    )
    refuse_unrunnable(path, "the float model", layers(graph), _HINT)
    return graph


def _as_json(spec: TensorSpec) -> Spec:
    return {"name": spec.name, "shape": list(spec.shape), "dtype": spec.dtype}
