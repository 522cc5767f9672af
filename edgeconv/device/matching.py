"""Matching: an order against a device, and a model against a device.

the order     format, precision, recipe      before anything is loaded
the source    operators, weights, memory     after loading
the graph     operators of the format        after lowering, before calibration
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from edgeconv.device.profiles import Device
from edgeconv.errors import Unsupported
from edgeconv.progress import Progress
from edgeconv.targets import TARGETS
from edgeconv.types import FloatGraph, Format, Layer, Precision, Recipe, SourceModel, TensorRange

__all__ = [
    "describe_device",
    "recipe_for",
    "refuse_clashing_order",
    "refuse_graph",
    "refuse_source",
    "why_this_precision",
]

_MIB: Final = 2.0**20
_INTEGER: Final = ("int8", "int16x8")
#: Bytes of one number.
_WEIGHT_BYTES: Final[dict[Precision, int]] = {
    "fp32": 4, "fp16": 2, "dynamic": 1, "int8": 1, "int16x8": 1,
}  # fmt: skip
_ACTIVATION_BYTES: Final[dict[Precision, int]] = {
    "fp32": 4, "fp16": 4, "dynamic": 4, "int8": 1, "int16x8": 2,
}  # fmt: skip
_MOST_NAMED: Final = 3

#: TensorFlow operators that lowering neither fuses nor takes apart, so that their
#: name in a format is known before it. Others are looked at in the lowered graph.
_KEPT: Final[dict[str, dict[Format, str]]] = {
    "Conv3D": {"tflite": "CONV_3D", "onnx": "Conv"},
    "Conv3DBackpropInputV2": {"tflite": "CONV_3D_TRANSPOSE", "onnx": "ConvTranspose"},
    "Conv2DBackpropInput": {"tflite": "TRANSPOSE_CONV", "onnx": "ConvTranspose"},
    "Cumsum": {"tflite": "CUMSUM", "onnx": "CumSum"},
    "DepthToSpace": {"tflite": "DEPTH_TO_SPACE"},
    "Elu": {"tflite": "ELU", "onnx": "Elu"},
    "LRN": {"tflite": "LOCAL_RESPONSE_NORMALIZATION", "onnx": "LRN"},
    "ResizeBilinear": {"tflite": "RESIZE_BILINEAR", "onnx": "Resize"},
    "ResizeNearestNeighbor": {"tflite": "RESIZE_NEAREST_NEIGHBOR", "onnx": "Resize"},
    "TopKV2": {"tflite": "TOPK_V2", "onnx": "TopK"},
}


def recipe_for(device: Device, precision: Precision | None = None) -> Recipe:
    """The recipe where the user gave none: the device's precision and signs.

    Args:
        device: Its conventions.
        precision: Where the user named one.
    """
    signs = device.int8.activations if device.int8 and "onnx" in device.formats else "unsigned"
    return Recipe(precision=precision or device.default_precision, onnx_activations=signs)


def why_this_precision(device: Device, precision: Precision) -> str:
    """One line: what is made for the device, and why or in place of what."""
    formats = " and ".join(TARGETS[format].title for format in device.formats)
    if precision == device.default_precision:
        return f"{device.name}: {formats} {precision}, because {device.default_reason}"
    return (
        f"{device.name}: {formats} {precision} as asked for; it runs {device.default_precision}"
        f" best, because {device.default_reason}"
    )


def describe_device(device: Device) -> dict[str, Any]:
    """The device as it stands in manifest.json."""
    return {
        "name": device.name,
        "title": device.title,
        "engine": device.runtime.engine,
        "package": device.runtime.package,
        "version": device.runtime.version,
        "providers": list(device.runtime.providers),
        "threads": device.runtime.threads,
    }


def refuse_clashing_order(device: Device, recipe: Recipe, formats: Sequence[Format]) -> None:
    """Refuse what the device can't run whatever the model is.

    Raises:
        Unsupported: A format, a precision or the signs of the integers.
    """
    for format in formats:
        if format not in device.formats:
            raise Unsupported(
                f"{device.name} runs {device.runtime.engine}, which opens no"
                f" {TARGETS[format].title} files.",
                f"Leave --format out (it has {', '.join(device.formats)}), or --device.",
            )
    for precision in recipe.precisions:
        if precision not in device.precisions:
            raise Unsupported(
                f"{device.name} runs no {precision}.",
                f"It runs {', '.join(device.precisions)}; leave the precision out for"
                f" {device.default_precision}, or leave --device out.",
            )
    int8 = device.int8
    if int8 is None or "int8" not in recipe.precisions:
        return
    if int8.symmetric and "onnx" in formats and recipe.onnx_activations != "signed":
        raise Unsupported(
            f"{device.name} takes no unsigned activations; the recipe asks for them.",
            'Write onnx_activations = "signed" in it, or leave --recipe out.',
        )
    mixed = [s.layers for s in recipe.scopes if s.precision and s.precision not in _INTEGER]
    if int8.integer_only and mixed:
        raise Unsupported(
            f"{device.name} runs an int8 model only where all of it is integer; the recipe keeps"
            f" {mixed[0]!r} in float.",
            "Take that scope out of the recipe, or leave --device out.",
        )


def refuse_source(
    device: Device,
    source: SourceModel,
    recipe: Recipe,
    formats: Sequence[Format],
    watch: Progress,
) -> None:
    """Refuse what is known from the loaded model alone.

    Raises:
        Unsupported: Its weights are too large, or an operator runs nowhere there.
    """
    _check_memory(device, source, recipe.precision, watch)
    for format in formats:
        found = [(_KEPT.get(op, {}).get(format), layer) for layer, op in source.operators]
        # What falls back is told of once, when all of it is known: after lowering.
        _check_operators(device, format, [(op, layer) for op, layer in found if op], None)


def refuse_graph(
    device: Device, graph: FloatGraph, recipe: Recipe, folder: Path, watch: Progress
) -> None:
    """Refuse what only the lowered graph tells.

    Args:
        device: Where it is to run.
        graph: Float.
        recipe: How it will be quantized.
        folder: Scratch.
        watch: Told what the device leaves to another processor.

    Raises:
        Unsupported: An operator runs nowhere there, or would stay in float.
    """
    layers = TARGETS[graph.format].layers(graph)
    _check_operators(device, graph.format, [(layer.op, layer.name) for layer in layers], watch)
    if device.int8 and device.int8.integer_only and recipe.precision == "int8":
        _refuse_float(device, graph, layers, recipe, folder)


def _check_operators(
    device: Device, format: Format, found: Iterable[tuple[str, str]], watch: Progress | None
) -> None:
    rules = device.operators[format]
    first: dict[str, str] = {}
    for op, layer in found:
        if not rules.runs(op):
            first.setdefault(op, layer)
    named = [f"{op} at the layer {layer!r}" for op, layer in first.items()]
    if named and not rules.fallback:
        raise Unsupported(
            f"{device.name} has no {named[0]}{_more(named)}.",
            "Build the layer from operators that it has, or list"
            f" {next(iter(first))} in a profile of your own if your build has it.",
        )
    if named and watch is not None:
        shown = ", ".join(named[:_MOST_NAMED]) + (", ..." if len(named) > _MOST_NAMED else "")
        watch.note(
            f"{device.name} leaves to {rules.fallback}: {shown};"
            " layers made of its own operators would stay on it"
        )


def _more(named: Sequence[str]) -> str:
    return f", nor {len(named) - 1} other operators of the model" if len(named) > 1 else ""


def _refuse_float(
    device: Device, graph: FloatGraph, layers: Sequence[Layer], recipe: Recipe, folder: Path
) -> None:
    """Quantize with made-up ranges: what has no integer form shows before a picture is read."""
    names = {name for layer in layers for name in (layer.output, *layer.inputs)}
    names |= {spec.name for spec in (*graph.inputs, *graph.outputs)}
    target = TARGETS[graph.format]
    trial = folder / f"trial{target.suffix}"
    artifact = target.quantize(graph, dict.fromkeys(names, TensorRange(-1.0, 1.0)), recipe, trial)
    trial.unlink()
    for layer in layers:
        if layer.op in artifact.float_operators:
            raise Unsupported(
                f"{layer.op} at the layer {layer.name!r} has no int8 form, and {device.name} runs"
                " an int8 model only where all of it is integer.",
                "Replace it by a layer with an int8 form, such as ReLU, or take another device.",
            )


def _check_memory(
    device: Device, source: SourceModel, precision: Precision, watch: Progress
) -> None:
    weights_mib = source.weight_count * _WEIGHT_BYTES[precision] / _MIB
    working_mib = source.activation_count * _ACTIVATION_BYTES[precision] / _MIB
    room_mib, place = (
        (device.flash_mib, "flash") if device.flash_mib else (device.ram_mib, "memory")
    )
    if weights_mib > room_mib:
        raise Unsupported(
            f"The weights take {_mib(weights_mib)} in {precision}, and {device.name} has"
            f" {_mib(room_mib)} of {place}.",
            "Take a smaller model, or a profile of your own with the memory of your board.",
        )
    needed_mib = working_mib + (0.0 if device.flash_mib else weights_mib)
    if needed_mib > device.ram_mib:
        watch.note(
            f"about {_mib(needed_mib)} of memory is needed, and {device.name} has"
            f" {_mib(device.ram_mib)}; a smaller input or model needs less"
        )
    if device.on_chip_mib and weights_mib > device.on_chip_mib:
        watch.note(
            f"the weights take {_mib(weights_mib)}, and {device.name} keeps"
            f" {_mib(device.on_chip_mib)} on the chip; the rest is fetched in each inference"
        )


def _mib(value: float) -> str:
    return f"{value:.3g} MiB" if value < 1000 else f"{value:.0f} MiB"
