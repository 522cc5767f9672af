"""The main job's order, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeconv.data import DataRequest
from edgeconv.device import Device
from edgeconv.load import LoadRequest
from edgeconv.recover import Effort
from edgeconv.types import Format, Qat, Recipe, Verdict
from edgeconv.verify import Gate

__all__ = ["Export", "ExportRequest", "Limits"]


@dataclass(frozen=True)
class Limits:
    """What an artifact may take.

    Attributes:
        size_mb: Of the file, 10^6 bytes; None for any.
        latency_ms: Median of single runs on this machine; None for any.
    """

    size_mb: float | None = None
    latency_ms: float | None = None

    def exceeded(self, size_bytes: int, latency_ms: float) -> tuple[str, ...]:
        """The limits that are broken, in words; the time itself is for bench.json alone."""
        found = []
        if self.size_mb is not None and size_bytes > self.size_mb * 1e6:
            found.append(f"{size_bytes / 1e6:.2f} MB, more than the {self.size_mb:g} MB allowed")
        if self.latency_ms is not None and latency_ms > self.latency_ms:
            found.append(f"slower on this machine than the {self.latency_ms:g} ms allowed")
        return tuple(found)


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
        effort: How hard to search for a recipe that keeps the accuracy of int8; see
            ``recover``. ``fast`` takes ``recipe`` as it is.
        budget_s: Seconds of that search; None for as long as it takes.
        qat: How to train the weights, as a rung of the search that is tried whatever holds
            already; None for not at all. A recipe's own is no rung: it is followed.
        limits: What the artifacts may take; one that takes more fails.
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
    effort: Effort = "fast"
    budget_s: float | None = None
    qat: Qat | None = None
    limits: Limits = field(default_factory=Limits)
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
        recovery: What was tried to keep the accuracy; the content of ``recovery.json``.
            None where nothing was searched for.
    """

    bundle: Path
    verdict: Verdict
    bench: dict[str, Any]
    recovery: dict[str, Any] | None = None
