"""The nouns: what one room hands to the next.

All are frozen; none holds a TensorFlow object, so all cross a process
boundary as JSON or as files. Arrays are NumPy, batch axis first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, Literal, Optional, Protocol, Union

import numpy.typing as npt

from edgeconv.preprocess import Preprocess

__all__ = [
    "Activation",
    "Array",
    "Artifact",
    "ArtifactVerdict",
    "Batch",
    "Calibrator",
    "Check",
    "Dataset",
    "FloatGraph",
    "FloatOperator",
    "Format",
    "Interval",
    "Layer",
    "Precision",
    "Qat",
    "Ranges",
    "Recipe",
    "Scope",
    "SourceModel",
    "Status",
    "Task",
    "TensorRange",
    "TensorSpec",
    "Verdict",
    "Weights",
    "Window",
]

Array = npt.NDArray[Any]
Format = Literal["tflite", "onnx"]
Precision = Literal["fp32", "fp16", "dynamic", "int8", "int16x8"]
Calibrator = Literal["minmax", "percentile", "mse", "entropy", "trimmed"]
Task = Literal["classification", "embedding", "regression", "raw"]
Activation = Literal["linear", "softmax", "sigmoid"]
Status = Literal["pass", "fail", "inconclusive"]
Shape = tuple[Optional[int], ...]


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a model.

    Attributes:
        name: The tensor's name in its file.
        shape: Axis lengths, batch first; None where the length is free.
        dtype: NumPy name, such as ``float32`` or ``int8``.
        scale: Size of one quantization step in real units; None for float.
        zero_point: The integer that stands for 0.0; None for float.
    """

    name: str
    shape: Shape
    dtype: str
    scale: Optional[float] = None
    zero_point: Optional[int] = None


#: Activations that are alive at once, in float32 a quarter of a gigabyte: those of 16 items
#: of MobileNetV2, of one of EfficientNetB7.
_VALUES_AT_ONCE: Final = 64_000_000


@dataclass(frozen=True)
class SourceModel:
    """The float reference, with its head's activation taken off.

    Attributes:
        name: Safe for use as a folder name.
        graph: Frozen GraphDef on disk: constants inside, free batch axis, the
            final softmax or sigmoid removed (unless it was asked to stay).
        inputs: As in the frozen graph; names without the ``:0``.
        outputs: As in the frozen graph; the first is the one that is judged.
        activation: What stood at the head and is now the runtime's to apply.
        task: What the outputs mean.
        preprocess: From picture or array to ``inputs``.
        labels: Class names by index; empty where there are none.
        layers: Keras layer names in topological order, for recipes and blame.
        provenance: Zoo id or file name, SHA-256 of the weights, versions.
        operators: (layer, TensorFlow operator) of what computes in float, in order.
        weight_count: Float constants in the graph.
        activation_count: The most activations alive at once, for one item; an estimate.
        graph_sha256: Of the file ``graph``, which need not have been written yet where
            the cache knew all this; "" where nobody said.
    """

    name: str
    graph: Path
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    activation: Activation
    task: Task
    preprocess: Preprocess
    labels: tuple[str, ...]
    layers: tuple[str, ...]
    provenance: Mapping[str, Any]
    operators: tuple[tuple[str, str], ...] = ()
    weight_count: int = 0
    activation_count: int = 0
    graph_sha256: str = ""

    def at_once(self, most: int) -> int:
        """How many items a model is given at once: ``most``, or as many as memory bears."""
        return max(1, min(most, _VALUES_AT_ONCE // max(1, self.activation_count)))


@dataclass(frozen=True)
class Batch:
    """Some items of a dataset, ready for the model.

    Attributes:
        x: One float32 array a model input, each [N, ...], preprocessed.
        y: int64 [N] class indices, or None where the set has no labels.
        ids: A name for each item (file name or ``array 17``), for messages.
    """

    x: tuple[Array, ...]
    y: Optional[Array]
    ids: tuple[str, ...]


class Dataset(Protocol):
    """A stream of preprocessed items, never wholly in memory.

    Attributes:
        name: What a person calls it (path and split).
        fingerprint: SHA-256 over content hashes and labels, order included.
        labelled: Whether every batch has ``y``.
    """

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def labelled(self) -> bool: ...
    def __len__(self) -> int: ...
    def batches(self, size: int) -> Iterator[Batch]:
        """Yield all items in order, ``size`` at a time; may be called again."""


@dataclass(frozen=True)
class FloatGraph:
    """The model lowered once to one format's float form, BatchNorm folded.

    Attributes:
        format: Which Target made it.
        path: The float model file.
        inputs: Specs as the file has them.
        outputs: Specs as the file has them.
        tensor_layers: Tensor name in the file -> Keras layer name.
    """

    format: Format
    path: Path
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    tensor_layers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Window:
    """How a convolution's kernel slides over its input.

    Attributes:
        strides: One a spatial axis.
        dilations: One a spatial axis.
        pads: Zeros before each spatial axis, then those behind each; None where they
            are as many as make the output ceil(input / stride) long, the odd one behind.
        groups: Into which the channels are parted; as many as those where depthwise.
        channel_axis: Of the input.
    """

    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: Optional[tuple[int, ...]]
    groups: int
    channel_axis: int = -1


@dataclass(frozen=True)
class Layer:
    """One compute step of a FloatGraph, under the name that a user knows.

    Attributes:
        name: Keras layer name (the tensor's name where there is none).
        op: Operator type in the format's own words, such as ``CONV_2D``.
        output: Name of the tensor it writes.
        weight: Name of its constant kernel, or "".
        bias: Name of its constant bias, or "".
        inputs: Names of the activations that it reads, in the operator's order.
        window: Of a convolution that reads what it weighs; else None.
    """

    name: str
    op: str
    output: str
    weight: str = ""
    bias: str = ""
    inputs: tuple[str, ...] = ()
    window: Optional[Window] = None


#: Keras layer name -> (kernel, bias or None), float32, in the layout of the
#: format-neutral Keras kernel: HWIO for convolutions, HWC1 for depthwise, IO for dense.
Weights = Mapping[str, tuple[Array, Optional[Array]]]


@dataclass(frozen=True)
class TensorRange:
    """What one activation tensor was seen to hold over the calibration set.

    Attributes:
        low: True minimum.
        high: True maximum.
        counts: int64 [bins] histogram over [-edge, edge], or None where no
            calibrator needs one.
        edge: Half-width of the histogram; a power of two times the first one,
            so that growing it merges whole bins.
        mean: float64 [channels] mean of each channel, or None where nothing has
            channels.
        lows: float32 [channels] true minimum of each channel, or None as ``mean``.
        highs: float32 [channels] true maximum of each channel, or None as ``mean``.
        item_lows: float64, the minima of the items that reach lowest, lowest first.
        item_highs: float64, the maxima of the items that reach highest, highest first.
        items: How many were seen.
        floor: No reader tells values below it apart; minus infinity where all do.
    """

    low: float
    high: float
    counts: Optional[Array] = None
    edge: float = 0.0
    mean: Optional[Array] = None
    lows: Optional[Array] = None
    highs: Optional[Array] = None
    item_lows: Optional[Array] = None
    item_highs: Optional[Array] = None
    items: int = 0
    floor: float = float("-inf")


#: Tensor name in the FloatGraph -> what was seen there.
Ranges = Mapping[str, TensorRange]


@dataclass(frozen=True)
class Scope:
    """Layers that are treated unlike the rest.

    Attributes:
        layers: fnmatch pattern over Keras layer names; ``sep`` matches ``sep#2`` too.
        precision: None for the recipe's.
        calibrator: Of the activations that these layers put out; None for the recipe's.
        format: Where it holds; None for every format.
    """

    layers: str
    precision: Optional[Precision] = None
    calibrator: Optional[Calibrator] = None
    format: Optional[Format] = None

    def covers(self, layer: str, format: Format) -> bool:
        """Whether ``layer`` (as ``Layer.name``) of a file of this format is meant."""
        if self.format not in (None, format):
            return False
        names = (layer, layer.partition("#")[0])
        return any(fnmatchcase(name, self.layers) for name in names)


@dataclass(frozen=True)
class Qat:
    """Quantization-aware training, of the weights that all passes have prepared.

    Attributes:
        epochs: Passes over the calibration set.
        learning_rate: Of the first step; 1 is the whole range of a channel's weights.
        seed: Of the order of the items and of what is done to pictures.
    """

    epochs: int = 16
    learning_rate: float = 2e-4
    seed: int = 0


@dataclass(frozen=True)
class Recipe:
    """Everything that decides how to quantize; serialisable.

    Attributes:
        precision: Of every scope that ``scopes`` doesn't name.
        calibrator: Of every scope that ``scopes`` doesn't name; the default is chosen
            in docs/quantization.md by the models measured there.
        percentile: Share of values kept by the percentile calibrator, in percent.
        passes: Float-side passes, in order, by name.
        scopes: Exceptions; of those that name a layer and say something, the last wins.
        onnx_activations: ``unsigned`` fuses on CPUs, ``signed`` suits TensorRT.
        keep_softmax: The head's activation stays inside the model.
        qat: How the int8 layers are trained after the passes; None for not at all.
    """

    precision: Precision = "int8"
    calibrator: Calibrator = "percentile"
    percentile: float = 99.99
    passes: tuple[str, ...] = ("equalize", "lift_channels", "correct_bias")
    scopes: tuple[Scope, ...] = ()
    onnx_activations: Literal["unsigned", "signed"] = "unsigned"
    keep_softmax: bool = False
    qat: Optional[Qat] = None

    def precision_of(self, layer: str, format: Format) -> Precision:
        """The precision of a layer (as ``Layer.name``) in a file of this format."""
        said = (s.precision for s in reversed(self.scopes) if s.covers(layer, format))
        return next((each for each in said if each), self.precision)

    def calibrator_of(self, layer: str, format: Format) -> Calibrator:
        """What chooses the range of a layer's output in a file of this format."""
        said = (s.calibrator for s in reversed(self.scopes) if s.covers(layer, format))
        return next((each for each in said if each), self.calibrator)

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """Every precision that the recipe names, its own first."""
        named = [self.precision, *(s.precision for s in self.scopes if s.precision)]
        return tuple(dict.fromkeys(named))


@dataclass(frozen=True)
class FloatOperator:
    """An operator of an integer artifact that computes in float.

    Attributes:
        operator: Its type in the format's own words.
        layer: Keras layer name; "" where no layer owns it.
        why: One sentence.
    """

    operator: str
    layer: str
    why: str


@dataclass(frozen=True)
class Artifact:
    """One model file in one format.

    Attributes:
        format: ``tflite`` or ``onnx``.
        precision: What was asked for.
        path: The file.
        sha256: Of the file.
        size_bytes: Of the file.
        inputs: With scale and zero point where quantized.
        outputs: With scale and zero point where quantized.
        recipe: How it was made.
        operators: Operator type -> count.
        float_operators: Those of them that compute in float (all of them for fp32).
        exceptions: Where an integer artifact computes in float, and why.
    """

    format: Format
    precision: Precision
    path: Path
    sha256: str
    size_bytes: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    recipe: Recipe
    operators: Mapping[str, int]
    float_operators: Mapping[str, int]
    exceptions: tuple[FloatOperator, ...] = ()


@dataclass(frozen=True)
class Interval:
    """An estimate with its uncertainty, in the metric's own unit (mostly percentage points).

    Attributes:
        estimate: The observed value.
        ci95: Two-sided 95% interval.
        lower95: One-sided 95% lower bound.
        upper95: One-sided 95% upper bound.
    """

    estimate: float
    ci95: tuple[float, float]
    lower95: float
    upper95: float


MetricValue = Union[float, Interval, None]


@dataclass(frozen=True)
class Check:
    """One metric held against one threshold.

    Attributes:
        metric: A key of ``ArtifactVerdict.metrics``.
        limit: The threshold, in the metric's own unit.
        at_most: The value may not exceed ``limit``; else it may not fall below.
        status: Against it.
        reason: One sentence: what was asked, what it came to.
        needed: How many more pictures would decide, where inconclusive.
    """

    metric: str
    limit: float
    at_most: bool
    status: Status
    reason: str
    needed: Optional[int] = None


@dataclass(frozen=True)
class ArtifactVerdict:
    """Parity of one artifact against the reference.

    Attributes:
        file: Name in the bundle.
        format: ``tflite`` or ``onnx``.
        precision: Of the artifact.
        status: Against the gate.
        equivalent: Numerically the reference: every answer equal, logits
            within 1e-3 relative.
        reason: One sentence: what was gated, the bound, what it came to.
        metrics: Percent and points, never fractions; see ``verify.metrics``.
        needed: How many more pictures would decide, where inconclusive.
        layers: Blame, worst layer first; see ``verify.blame``. Empty where not asked for.
        suspicions: What a bad parity looks like ("Looks like BGR input: agreement
            31% -> 94% when swapped."), likeliest first.
        evidence: What every item's scores say beside a gate that couldn't decide.
        checks: Every threshold that was asked for; the first is the one in ``gated``.
        gated: The metric that was held against ``limit``, a key of ``metrics``.
        limit: Its margin, in the metric's own unit.
    """

    file: str
    format: Format
    precision: Precision
    status: Status
    equivalent: bool
    reason: str
    metrics: Mapping[str, MetricValue]
    needed: Optional[int] = None
    layers: tuple[Mapping[str, Any], ...] = ()
    suspicions: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    gated: str = ""
    limit: Optional[float] = None


@dataclass(frozen=True)
class Verdict:
    """The verdicts of a bundle's artifacts; its status is the worst of theirs."""

    status: Status
    samples: int
    gate: str
    artifacts: tuple[ArtifactVerdict, ...]
