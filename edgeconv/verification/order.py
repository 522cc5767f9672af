"""What to verify, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from edgeconv.data import DataRequest, Items
from edgeconv.load import LoadRequest
from edgeconv.types import Verdict
from edgeconv.verification.on_device import DeviceOrder
from edgeconv.verify import Disagreement, Policy

__all__ = ["Blame", "Verification", "VerifyRequest"]

Blame = Literal["auto", "always", "never"]


@dataclass(frozen=True)
class VerifyRequest:
    """What to verify against what.

    Attributes:
        candidate: A bundle, a .tflite or an .onnx file.
        against: The original: a Keras model, or another bundle's folder; None for
            the zoo model that the bundle says it was made from.
        data: The items; its parity set is judged on.
        policy: What parity has to hold.
        blame: When to look for the layer: only where an artifact's parity is lost
            (by the estimate, where undecided), always or never.
        on: A device that runs a sample too; without ``against`` it is held against
            this machine alone.
    """

    candidate: Path
    against: LoadRequest | Path | None = None
    data: DataRequest = field(default_factory=DataRequest)
    policy: Policy = field(default_factory=Policy)
    blame: Blame = "auto"
    on: DeviceOrder | None = None


@dataclass(frozen=True)
class Verification:
    """What came of it.

    Attributes:
        verdict: Parity of each artifact.
        disagreements: Items to which an artifact and the reference answer differently.
        labels: The reference's class names by index.
        reference: What the candidate was compared with, in words.
        data: Name of the items.
        notes: What a reader of the verdict should know.
        items: What both were asked, for whoever shows some of it.
        device: What the device was and took; see ``on_device.Answers.facts``.
    """

    verdict: Verdict
    disagreements: tuple[Disagreement, ...]
    labels: tuple[str, ...]
    reference: str
    data: str
    items: Items
    notes: tuple[str, ...] = ()
    device: Mapping[str, Any] | None = None
