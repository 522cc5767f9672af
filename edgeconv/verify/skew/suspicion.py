"""What a bad parity looks like, in a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Kind", "Measure", "Suspicion"]

Kind = Literal[
    "channel-order",
    "scale",
    "mean",
    "resize-filter",
    "crop",
    "layout",
    "labels-shifted",
    "double-softmax",
    "not-dequantized",
]
Measure = Literal["agreement", "relative error", "mean KL"]


@dataclass(frozen=True)
class Suspicion:
    """A usual mistake that, undone, brings the reference's answers back.

    Attributes:
        kind: The mistake; of two at once the one that costs more.
        sentence: For people, with both figures and what was changed.
        before: ``measure`` as it is; None where the file refused the input.
        after: ``measure`` with the mistake undone.
        measure: What the figures are: ``agreement`` in percent where top-1 moves,
            else ``relative error`` in percent, or ``mean KL`` in nats.
        also: The second mistake, where only two together mend it.
    """

    kind: Kind
    sentence: str
    before: float | None
    after: float
    measure: Measure = "agreement"
    also: Kind | None = None
