"""The device's raw outputs beside those of the same file here: which bits differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeconv.device import remote
from edgeconv.errors import RefusedInput
from edgeconv.runtime.affine import dequantize
from edgeconv.runtime.engines import Model
from edgeconv.types import Array, Artifact

__all__ = ["Answers", "compared"]


@dataclass(frozen=True)
class Answers:
    """What the device said.

    Attributes:
        artifact: The file that it ran.
        positions: Which of the items it was asked.
        device: One float32 [N, ...] an output.
        host: Likewise, by the same file here.
        facts: JSON: target, engine, versions, latency, memory, and how many of its raw
            outputs are the host's to the last bit.
        as_judged: The host's engine is the one whose answers were judged here.
    """

    artifact: Artifact
    positions: tuple[int, ...]
    device: tuple[Array, ...]
    host: tuple[Array, ...]
    facts: Mapping[str, Any]
    as_judged: bool = True

    @property
    def name(self) -> str:
        """Such as ``model.tflite on local``."""
        return f"{self.artifact.path.name} on {self.facts['target']}"

    @property
    def identical(self) -> bool:
        """Whether every raw output is the host's to the last bit."""
        return int(self.facts["bit_identical"]["values_differing"]) == 0


def compared(
    artifact: Artifact,
    model: Model,
    target: str,
    positions: tuple[int, ...],
    x: tuple[Array, ...],
    reply: remote.Reply,
) -> Answers:
    """The device's raw outputs beside those of the same file here."""
    host = model.raw(*model.quantized(*x))
    expected = [(y.dtype, y.shape) for y in host]
    if [(y.dtype, y.shape) for y in reply.outputs] != expected:
        raise RefusedInput(f"{target} sent outputs of another shape or type than the model has.")
    facts = {
        "target": target,
        **reply.costs,
        "host_engine": {"name": model.engine, "version": model.version},
        "bit_identical": _bits(reply.outputs, host, [spec.scale for spec in model.outputs]),
    }
    return Answers(
        artifact,
        positions,
        tuple(dequantize(y, s) for y, s in zip(reply.outputs, model.outputs, strict=True)),
        tuple(dequantize(y, s) for y, s in zip(host, model.outputs, strict=True)),
        facts,
    )


def _bits(
    theirs: Sequence[Array], ours: Sequence[Array], scales: Sequence[float | None]
) -> dict[str, Any]:
    """How many raw values differ in any bit, in how many items, and by how much at most."""
    items = np.zeros(len(ours[0]), bool)
    values = differing = 0
    largest = 0.0
    for a, b, scale in zip(theirs, ours, scales, strict=True):
        rows = [np.ascontiguousarray(y).view(np.uint8).reshape(y.size, -1) for y in (a, b)]
        unequal = (rows[0] != rows[1]).any(axis=1)
        items |= unequal.reshape(len(items), -1).any(axis=1)
        values, differing = values + unequal.size, differing + int(unequal.sum())
        gap = np.abs(a.astype(np.float64) - b.astype(np.float64)).max(initial=0.0)
        largest = float(np.maximum(largest, gap * (scale or 1.0)))  # max() might lose NaN
    return {
        "items": len(items),
        "items_differing": int(items.sum()),
        "values": values,
        "values_differing": differing,
        "largest_difference": largest if np.isfinite(largest) else None,
    }
