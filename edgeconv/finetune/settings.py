"""How to train: what the command line says, and the constants of the recipe with their sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from edgeconv.errors import RefusedInput

__all__ = [
    "DROPOUT",
    "FINE",
    "FINE_FACTOR",
    "HEAD",
    "PATIENCE",
    "VIEWS",
    "Settings",
]

#: The phases: over the frozen base's features; through the base too.
HEAD: Final = "head"
FINE: Final = "fine"

#: Views of each training picture whose features the head learns: the picture as it is, and
#: so many less one changed at random.
VIEWS: Final = 4
#: Of the features, before the head. Source: keras.io/guides/transfer_learning.
DROPOUT: Final = 0.2
#: The second phase's learning rate is this much lower: larger steps would undo what the base
#: knows before they adapt it. Source: keras.io/guides/transfer_learning.
FINE_FACTOR: Final = 10.0
#: Epochs without a better validation loss after which a phase ends.
PATIENCE: Final = 5


@dataclass(frozen=True)
class Settings:
    """All that decides what training does with given pictures.

    Attributes:
        epochs: The most of each phase.
        unfreeze: Layers of the base that the second phase trains, counted from its end;
            0 for no second phase, None for all.
        scratch: The base's weights are random, so that it is trained from the first epoch.
        batch: Pictures a step.
        learning_rate: Of the first phase.
        seed: Of the split, the order, the changed views and the dropout.
        mirror: Whether views of a picture may be mirrored, left to right.
    """

    epochs: int = 20
    unfreeze: int | None = None
    scratch: bool = False
    batch: int = 32
    learning_rate: float = 1e-3
    seed: int = 0
    mirror: bool = True

    @property
    def phases(self) -> tuple[str, ...]:
        """What is trained, one after the other."""
        if self.scratch:
            return (FINE,)
        return (HEAD,) if self.unfreeze == 0 else (HEAD, FINE)

    @property
    def layers(self) -> int | None:
        """Layers of the base that are trained, counted from its end; None for all."""
        return None if self.scratch else self.unfreeze

    def peak_rate(self, phase: str) -> float:
        """The learning rate with which ``phase`` begins."""
        careful = phase == FINE and not self.scratch
        return self.learning_rate / (FINE_FACTOR if careful else 1.0)

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values; ``from_json`` reads them back."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Settings:
        """Read what ``to_json`` wrote.

        Raises:
            RefusedInput: It is not that.
        """
        try:
            return cls(**document)
        except TypeError:
            raise RefusedInput("The settings of the training are not edgeconv's.") from None
