"""Runs: what both files compute, as they are and unit by unit.

    whole      F(x)                     Q(x)
    by units   F_u(d(q(F(x))))          Q_u(q(F(x)))

By units, every unit of either file reads the float model's own values of this item in
the candidate's form (q rounds to its steps, d gives them back), so nothing that an
earlier layer did wrong is laid at the door of a later one: the two results differ by
what this unit alone adds.

Sessions are made a chunk of units at a time, so that the tensors in memory stay bounded
however large the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from edgeconv.targets.anatomy import Anatomy, needed
from edgeconv.types import Array
from edgeconv.verify.blame.matching import Pair
from edgeconv.verify.blame.units import Unit

__all__ = ["Look", "Viewer", "chunks"]

#: float32 values of a chunk's outputs in all; one file's whole MobileNetV2 has 7 million.
_MOST_VALUES: Final = 16_000_000


@dataclass(frozen=True)
class Look:
    """Real values of one unit's output for one item.

    Attributes:
        expected: F(x).
        found: Q(x).
        local_expected: F_u(d(q(F(x)))).
        local_found: Q_u(q(F(x))).
    """

    expected: Array
    found: Array
    local_expected: Array
    local_found: Array


def chunks(units: Sequence[Unit], sizes: Mapping[str, int]) -> Iterator[Sequence[Unit]]:
    """``units`` in runs of at most _MOST_VALUES, each of at least one.

    Args:
        units: In order.
        sizes: The reference's tensor -> how many values an item has there.
    """
    start, total = 0, 0
    for end, unit in enumerate(units):
        total += sizes[unit.pair.reference]
        if total > _MOST_VALUES and end > start:
            yield units[start:end]
            start, total = end, sizes[unit.pair.reference]
    yield units[start:]


class Viewer:
    """Four sessions for one chunk of units.

    Args:
        reference: The float graph.
        candidate: The artifact.
        inputs: The models' inputs.
        pairs: All tensors, inputs first.
        chunk: The units to look at.
    """

    def __init__(
        self,
        reference: Anatomy,
        candidate: Anatomy,
        inputs: Sequence[Pair],
        pairs: Sequence[Pair],
        chunk: Sequence[Unit],
    ) -> None:
        self.chunk = chunk
        self._reference, self._candidate = reference, candidate
        self._inputs = inputs
        self._partner = {pair.reference: pair.candidate for pair in pairs}
        ends, others = [unit.pair.reference for unit in chunk], [u.pair.candidate for u in chunk]
        cuts = {p.reference for p in pairs}, {p.candidate for p in pairs}
        _, fed = needed(reference.steps, ends, cuts[0])
        _, others_fed = needed(candidate.steps, others, cuts[1])
        back = {pair.candidate: pair.reference for pair in pairs}
        self._fed = sorted({*fed, *ends, *(back[n] for n in others_fed if n in back)})
        self._whole = reference.session(self._fed), candidate.session(others)
        self._units = reference.session(ends, cuts[0]), candidate.session(others, cuts[1])

    def __call__(self, item: Sequence[Array]) -> Iterator[tuple[Unit, Look]]:
        """Look at the chunk.

        Args:
            item: One array [1, ...] an input of the reference.
        """
        feeds = dict(zip(self._reference.inputs, item, strict=True))
        expected = self._whole[0](feeds)
        own = {**feeds, **expected}
        stored = {
            self._partner[name]: self._candidate.tensors[self._partner[name]].stored(value)
            for name, value in own.items()
        }
        rounded = {
            name: self._real(self._partner[name], stored[self._partner[name]]).astype(value.dtype)
            for name, value in own.items()
        }
        raw = self._raw(feeds)
        found = self._whole[1](raw)
        local_expected = self._units[0](rounded)
        local_found = self._units[1]({**raw, **stored})
        for unit in self.chunk:
            name, partner = unit.pair.reference, unit.pair.candidate
            truth = expected[name]
            is_input = unit.expected is None
            yield (
                unit,
                Look(
                    expected=truth,
                    found=self._real(partner, found[partner]).reshape(truth.shape),
                    # An input is what is fed; its error is what its form makes of it.
                    local_expected=truth if is_input else local_expected[name],
                    local_found=self._real(partner, local_found[partner]).reshape(truth.shape),
                ),
            )

    def close(self) -> None:
        """Let the sessions go; there is nothing to be looked at any more."""
        del self._whole, self._units

    def _raw(self, feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        """The candidate's own inputs in its own form."""
        return {
            pair.candidate: self._candidate.tensors[pair.candidate].stored(feeds[pair.reference])
            for pair in self._inputs
        }

    def _real(self, name: str, value: Array) -> Array:
        return self._candidate.tensors[name].real(value)
