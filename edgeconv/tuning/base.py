"""The base: which network of the zoo, at which size, with which weights."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeconv.errors import UsageError
from edgeconv.load import is_path
from edgeconv.load.build import build
from edgeconv.load.hdf5 import check_keras_weights
from edgeconv.load.variant import Variant, published, variant
from edgeconv.load.weights import find_weights
from edgeconv.load.zoo import preprocess_for
from edgeconv.preprocess import Preprocess
from edgeconv.progress import Progress
from edgeconv.tuning.order import FinetuneRequest

__all__ = ["Base", "check_base", "find_base", "open_base", "preprocess_of"]


@dataclass(frozen=True)
class Base:
    """What is trained further.

    Attributes:
        variant: Network, size and width.
        weights: Its weights; None for seeded random ones.
        sha256: Of that file, or "".
    """

    variant: Variant
    weights: Path | None
    sha256: str

    @property
    def preprocess(self) -> Preprocess:
        """From picture to its input."""
        return preprocess_of(self.variant)

    def to_json(self) -> dict[str, Any]:
        """What says which base it is, for provenance and checkpoints."""
        weights = self.weights.name if self.weights else "random"
        found: dict[str, Any] = {"base": self.variant.model.name, "size": self.variant.size}
        if self.variant.alpha != 1.0:
            found["alpha"] = self.variant.alpha
        return {**found, "weights": weights, "weights_sha256": self.sha256}


def preprocess_of(wanted: Variant) -> Preprocess:
    """From picture to the input of a base; nothing of the shorter side is cut off."""
    found = preprocess_for(wanted.model, wanted.size, wanted.size)
    return replace(found, crop_fraction=1.0)


def check_base(request: FinetuneRequest) -> Variant:
    """The network that is meant, before anything is fetched.

    Raises:
        UsageError: There is none, or it can't be had so.
    """
    if is_path(request.base):
        raise UsageError(
            f"{request.base} is a file; BASE is a name of the zoo.",
            "Give its network's name, such as mobilenetv2, and the file with --weights FILE.",
        )
    weights = request.weights
    if weights not in ("imagenet", "none") and not Path(weights).is_file():
        raise UsageError(
            f"There is no weights file {weights!r}.", "Give a file, 'imagenet' or 'none'."
        )
    return variant(request.base, weights=weights, size=request.size, alpha=request.alpha, top=False)


def find_base(request: FinetuneRequest, progress: Progress) -> Base:
    """The base with its weights as a file on this machine.

    Raises:
        UsageError: As ``check_base``.
        HostFailure: Published weights are not there and can't be fetched.
    """
    wanted = check_base(request)
    if request.weights == "none":
        return Base(wanted, None, "")
    if request.weights == "imagenet":
        path = find_weights(published(wanted), progress=progress)
    else:
        path = Path(request.weights).resolve()
    with path.open("rb") as file:
        return Base(wanted, path, hashlib.file_digest(file, "sha256").hexdigest())


def open_base(
    state: dict[str, Any],
    progress: Progress,
    *,
    constructor: str,
    size: int,
    classes: int,
    alpha: float,
    weights: str | None,
    seed: int,
) -> None:
    """Build the headless network in the workshop; ``finetune.child.open_network`` takes it."""
    if weights is not None:
        check_keras_weights(Path(weights))
    state["base"] = build(
        constructor,
        size=size,
        classes=classes,
        alpha=alpha,
        top=False,
        weights=weights,
        seed=seed,
    )
