"""Anatomy: the inside of a model file, in one form for both formats.

A tensor is named as the file has it, and is looked at as its readers see it: where
a file quantizes a value and dequantizes it again, the integers between the two are
the tensor, and their scale and zero point say what they mean.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from edgeconv.types import Array, Layer

__all__ = ["Anatomy", "Session", "Step", "Tensor", "needed", "of_layers"]

#: What is added to the name of a constant that is padded with zeros (``onnx.widen``), and of
#: one that is dequantized: by ONNX's quantizer, and by TFLite's for float16.
_ADDED: Final = re.compile("(/widened)*(_DequantizeLinear_Output|_dequant)?$")


@dataclass(frozen=True)
class Tensor:
    """A value that a model computes or is fed.

    Attributes:
        name: Unique in the file.
        shape: Axis lengths; None where free or unknown; None as a whole where not
            even their number is known.
        dtype: NumPy's name.
        scale: One step in real units; None where the tensor is not quantized.
        zero_point: The integer that stands for 0.0.
        channel_axis: Of the features: the last in TFLite, the second in ONNX.
    """

    name: str
    shape: tuple[int | None, ...] | None
    dtype: str
    scale: float | None = None
    zero_point: int = 0
    channel_axis: int = -1

    @property
    def representable(self) -> tuple[float, float] | None:
        """The smallest and the largest real value that it can hold; None for float."""
        if self.scale is None:
            return None
        ends = np.iinfo(np.dtype(self.dtype))
        return (ends.min - self.zero_point) * self.scale, (ends.max - self.zero_point) * self.scale

    def real(self, value: Array) -> Array:
        """What stored values mean, float32."""
        if self.scale is None:
            return value.astype(np.float32, copy=False)
        centred: Array = value.astype(np.float32) - np.float32(self.zero_point)
        centred *= np.float32(self.scale)
        return centred

    def stored(self, value: Array) -> Array:
        """The stored values that come nearest to real ones."""
        if self.scale is None:
            return value.astype(self.dtype, copy=False)
        ends = np.iinfo(np.dtype(self.dtype))
        steps = value / np.float32(self.scale)
        np.rint(steps, out=steps)
        steps += np.float32(self.zero_point)
        np.clip(steps, ends.min, ends.max, out=steps)
        return steps.astype(self.dtype)


@dataclass(frozen=True)
class Step:
    """An operator.

    Attributes:
        op: Its type in the format's own words.
        inputs: Names of the activations that it reads.
        outputs: Names of the tensors that it writes.
        kernel: Name of its constant kernel, or "".
        bias: Name of its constant bias, or "".
    """

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    kernel: str = ""
    bias: str = ""


class Session(Protocol):
    """A part of a model, ready to run."""

    def __call__(
        self, feeds: Mapping[str, Array], addends: Mapping[str, Array] | None = None
    ) -> Mapping[str, Array]:
        """Run it.

        Args:
            feeds: Tensor name -> stored values; more than is needed may stand there.
            addends: Tensor name -> what is added to it.

        Returns:
            Tensor name -> stored values, of everything in ``reads``.
        """


class Anatomy(Protocol):
    """A file's tensors and operators, and parts of it that run."""

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """All that is fed or computed, by name."""

    @property
    def steps(self) -> Sequence[Step]:
        """The operators that compute them, in order."""

    @property
    def inputs(self) -> Sequence[str]:
        """Tensors that the caller feeds."""

    @property
    def outputs(self) -> Sequence[str]:
        """Tensors that the caller gets."""

    def kernel(self, step: Step) -> Array | None:
        """The real values of a step's kernel in the file's layout; None where unknown."""

    def bias(self, step: Step) -> Array | None:
        """The real values of a step's bias; None where it has none."""

    def kernel_scales(self, step: Step) -> Array | None:
        """float32 [1] or [C]: the steps of a step's kernel; None where it is float."""

    def kernel_axis(self, step: Step) -> int:
        """The axis of a step's kernel along which its output channels lie."""

    def session(
        self, reads: Sequence[str], cut: Collection[str] = (), added: Collection[str] = ()
    ) -> Session:
        """The part of the model that computes ``reads``.

        Args:
            reads: Tensors to give out.
            cut: Tensors whose readers take a fed value in place of the computed one.
            added: float32 tensors to which a fed value is added for all their
                readers; zero where none is fed.

        Raises:
            Unsupported: The engine can't run it.
        """


def needed(
    steps: Sequence[Step], reads: Collection[str], cut: Collection[str] = ()
) -> tuple[list[int], set[str]]:
    """What it takes to compute ``reads``.

    Returns:
        Indices of steps, in order, and the tensors that are to be fed: those of
        ``cut`` that are read, and what no step writes.
    """
    wanted, fed = set(reads), set[str]()
    kept: list[int] = []
    for index in reversed(range(len(steps))):
        step = steps[index]
        if wanted.isdisjoint(step.outputs):
            continue
        kept.append(index)
        wanted.difference_update(step.outputs)
        wanted.update(name for name in step.inputs if name not in cut)
        fed.update(name for name in step.inputs if name in cut)
    return kept[::-1], fed | wanted


def of_layers(file: Anatomy, layers: Iterable[Layer]) -> Iterator[tuple[Layer, Step]]:
    """The steps of a file that have the kernels of its float graph's layers.

    Args:
        file: One of edgeconv, whose constants keep the names of its float graph.
        layers: Of that graph.

    Yields:
        In the layers' order; none for a layer that isn't found.
    """
    steps = {_ADDED.sub("", step.kernel): step for step in file.steps if step.kernel}
    for layer in layers:
        step = steps.get(layer.weight) if layer.weight else None
        if step is not None and step.op == layer.op:
            yield layer, step
