"""Why parity was lost: the usual mistake that it looks like, and the layer to blame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgeconv import prepare, verify
from edgeconv.errors import EdgeconvError
from edgeconv.progress import Progress
from edgeconv.runtime.engines import Model
from edgeconv.targets import TARGETS
from edgeconv.types import Array, Artifact, ArtifactVerdict, FloatGraph, Format, Interval, Precision
from edgeconv.verification.candidate import Candidate
from edgeconv.verification.reference import Reference
from edgeconv.verify.skew import ITEMS
from edgeconv.workshop import Workshop

__all__ = ["Explainer", "doubt", "has_odd_scores", "looks_lost"]

_BLAMED_ITEMS = 8
#: Precisions whose recipes' passes are run; the others take the float graph as it is.
_PREPARED: tuple[Precision, ...] = ("int8", "int16x8")
#: Points of top-1 that no conversion gains: chance moves a quantized model by one or two.
_MOST_GAINED = 5.0
#: Percent of equal answers below which two models have little in common.
_LEAST_AGREEMENT = 50.0
#: Below it the error has a quarter of the scores' power; sound int8 files keep 20 dB.
_LEAST_SQNR_DB = 6.0


def looks_lost(artifact: ArtifactVerdict) -> bool:
    """Whether it fails, or would if the estimate were the truth."""
    return artifact.status == "fail" or not verify.acceptable(artifact, "estimate")


def has_odd_scores(artifact: ArtifactVerdict) -> bool:
    """Whether the answers may be right but the numbers behind them are not.

    A second softmax or a forgotten dequantization moves no answer.
    """
    sqnr = artifact.metrics.get("sqnr_db")
    return isinstance(sqnr, float) and sqnr < _LEAST_SQNR_DB


def doubt(artifact: ArtifactVerdict, converted: bool) -> str:
    """What to check where the reference can't be what was meant; "" where it may be.

    The gate asks only that nothing is lost. A reference that is fed wrongly, or is
    another model, loses everything itself, and anything would pass beside it.

    Args:
        artifact: Its verdict.
        converted: The reference is what it was made from, not a release before it,
            than which it may well be better.
    """
    drop, agreement = (artifact.metrics.get(m) for m in ("top1_drop", "agreement_interval"))
    if artifact.status != "pass":
        return ""
    if converted and isinstance(drop, Interval) and drop.upper95 < -_MOST_GAINED:
        return (
            f"The original is {-drop.estimate:.1f} points worse than the file, which no conversion "
            "explains: check its preprocessing and its labels before you trust this verdict."
        )
    if isinstance(agreement, Interval) and agreement.upper95 < _LEAST_AGREEMENT:
        return (
            f"Only {agreement.estimate:.1f}% of the answers are the reference's: "
            "check that it is the model that was meant."
        )
    return ""


@dataclass(frozen=True)
class Explainer:
    """Looks for the cause of a lost parity.

    Attributes:
        candidate: What was judged.
        reference: What it was held against.
        workshop: Where the original is open; None where it is a bundle, whose
            layers have no float form.
        folder: Scratch.
        watch: Told what is being done.
    """

    candidate: Candidate
    reference: Reference
    workshop: Workshop | None
    folder: Path
    watch: Progress

    def suspected(self, verdict: ArtifactVerdict, given: verify.Given) -> ArtifactVerdict:
        """The verdict with the mistakes that it looks like; as it was where that can't be told."""
        reference, dataset = self.reference, self.reference.dataset
        count = min(ITEMS, len(dataset))
        places = [position * len(dataset) // count for position in range(count)]
        truth = np.concatenate([np.asarray(given.reference[0][p : p + 1]) for p in places])
        own = self.candidate.source.preprocess if self.candidate.source else None
        theirs = reference.source.preprocess
        try:
            found = verify.suspect(
                self._columns_of(given),
                dataset.select(places),
                own or theirs,
                truth,
                theirs=theirs,
                activation=reference.source.activation,
                classifies=verify.classifies_rows(reference.source.task, truth),
                inputs=self._model(given.artifact).inputs,
            )
        except EdgeconvError as error:
            self.watch.note(f"no mistake could be looked for: {error.message}")
            return verdict
        return replace(verdict, suspicions=tuple(each.sentence for each in found))

    def blamed(self, verdict: ArtifactVerdict, given: verify.Given) -> ArtifactVerdict:
        """The verdict with its layers, worst first; as it was where they can't be told."""
        if self.workshop is None:
            return verdict
        try:
            graph = self._followed(given.artifact, self._lowered(given.artifact.format))
            layers = verify.blame(given.artifact, graph, self._few())
        except EdgeconvError as error:
            self.watch.note(f"no layer could be blamed: {error.message}")
            return verdict
        return replace(verdict, layers=tuple(layers))

    def _lowered(self, format: Format) -> FloatGraph:
        assert self.workshop is not None
        return TARGETS[format].lower(self.reference.source, self.workshop, self.folder)

    def _followed(self, artifact: Artifact, graph: FloatGraph) -> FloatGraph:
        """The graph with its channels as the file has them, where its recipe rescales any."""
        names = artifact.recipe.passes if artifact.precision in _PREPARED else ()
        if prepare.RESCALING.keys().isdisjoint(names):
            return graph
        target = TARGETS[artifact.format]
        file = verify.opened(target, artifact)
        return prepare.follow(target, graph, file, self.folder / f"followed{target.suffix}")

    def _few(self) -> tuple[Array, ...]:
        few = self.reference.dataset.take(_BLAMED_ITEMS)
        return next(iter(few.batches(_BLAMED_ITEMS))).x

    def _model(self, artifact: Artifact) -> Model:
        return next(model for each, model in self.candidate.entries if each is artifact)

    def _columns_of(self, given: verify.Given) -> Callable[..., Sequence[Array]]:
        """The model, its classes in the reference's order."""
        model = self._model(given.artifact)
        pairing = verify.pairing_of(given, self.reference.source)

        def run(*x: Array) -> Sequence[Array]:
            first, *others = model(*x)
            return (pairing.ordered(first), *others)

        return run
