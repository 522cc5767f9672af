"""The main job's order, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeconv.data import DataRequest
from edgeconv.device import Device
from edgeconv.load import LoadRequest
from edgeconv.types import Format, Recipe, Verdict
from edgeconv.verify import Gate

__all__ = ["Export", "ExportRequest"]


@dataclass(frozen=True)
class ExportRequest:
    """What to export, and how.

    Attributes:
        model: What to load.
        data: What to calibrate and judge on.
        recipe: How to quantize.
        formats: What to write, in this order.
        gate: What parity has to hold.
        output: The bundle's folder; None for ``./NAME-PRECISION``.
        force: Replace a bundle that is there.
        device: Where it is to run; ``device.recipe_for`` and ``Device.formats`` are
            what follows from it. None for no device in particular.
        cache: Take from the user's cache what was made before, and keep there what
            the next run needs too; the bundle is the same either way.
    """

    model: LoadRequest
    data: DataRequest = field(default_factory=DataRequest)
    recipe: Recipe = field(default_factory=Recipe)
    formats: tuple[Format, ...] = ("tflite", "onnx")
    gate: Gate = field(default_factory=Gate)
    output: Path | None = None
    force: bool = False
    device: Device | None = None
    cache: bool = True


@dataclass(frozen=True)
class Export:
    """A finished export.

    Attributes:
        bundle: The folder that ships.
        verdict: Parity of each artifact.
        bench: Latency of each artifact, float beside it; the content of ``bench.json``.
    """

    bundle: Path
    verdict: Verdict
    bench: dict[str, Any]
