"""Suspect: try the usual mistakes on a few items, and name what mends the parity.

answers ──undo a mistake after the model──► few items screen all inputs ──► all items judge
the best ──► alone, or with a second mistake ──► clearly mended? ──► Suspicion
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from edgeconv.errors import EdgeconvError
from edgeconv.preprocess import Preprocess
from edgeconv.types import Activation, Array, TensorSpec
from edgeconv.verify.skew.fit import Fit, Yardstick, rows
from edgeconv.verify.skew.hypotheses import Hypothesis, hypotheses, joined
from edgeconv.verify.skew.inputs import Kitchen, Rereadable
from edgeconv.verify.skew.outputs import Undoing, not_dequantized, second_softmax, shifts
from edgeconv.verify.skew.sentences import input_sentence, output_sentence
from edgeconv.verify.skew.suspicion import Measure, Suspicion

__all__ = ["ITEMS", "suspect"]

#: How many items to ask for: enough that agreement moves by steps of 4%.
ITEMS = 24
#: Hypotheses are first tried on so many, and the best so many on all.
_SCREEN, _FINALISTS = 8, 6
#: So many of the best are tried together with a second mistake.
_FIRSTS = 2
#: Undone, a mistake leaves at most this share of the error ...
_SHARE = 0.6
#: ... and an error of at most this, percent: a model that doesn't follow the reference
#: at all is near 140, one that always answers its mean at 100.
_LEFT = 75.0
#: Of the answers that differed, at least this share comes back.
_BACK = 0.5
#: What is told apart from the reference's own input by a fact, not by a guess, need
#: only make the error fall to this share.
_KNOWN_SHARE = 0.9
#: Below this error (percent) there is nothing to explain: float engines differ by less.
_SOUND = 0.1
#: Parity is not bad everywhere above this agreement and below this error (percent): a
#: sound int8 MobileNetV2 keeps 92 to 96% and errs by 10 to 23%. Nothing is guessed then.
_GOOD_AGREEMENT, _GOOD_ERROR = 90.0, 25.0
#: Errors within this share of the best, or this many points, are as good as the best.
_TIE_SHARE, _TIE_POINTS = 1.1, 1.0

Run = Callable[..., Sequence[Array]]


@dataclass(frozen=True)
class _Found:
    hypothesis: Hypothesis
    fit: Fit


def suspect(
    run: Run,
    items: Rereadable,
    mine: Preprocess,
    truth: Array,
    *,
    theirs: Preprocess | None = None,
    activation: Activation = "linear",
    classifies: bool = True,
    inputs: Sequence[TensorSpec] = (),
) -> tuple[Suspicion, ...]:
    """Say which usual mistake a bad parity looks like.

    Args:
        run: The candidate: float inputs [N, ...] -> outputs [N, ...]; the first is
            judged, its classes in the reference's order where labels are known.
        items: A few, evenly spread (``ITEMS``), as both models are judged on.
        mine: How the candidate's inputs are made.
        truth: float [N, C], what the reference answers to these items.
        theirs: How the reference's inputs are made, where known.
        activation: What was taken off both heads.
        classifies: Whether the answers are classes.
        inputs: Of the candidate's file.

    Returns:
        What mends the parity clearly, likeliest first; mostly empty or one.
    """
    yardstick = Yardstick(rows(truth), activation, classifies)
    return _Search(run, items, mine, yardstick).suspicions(theirs, inputs)


class _Search:
    """One candidate, its items and the reference."""

    def __init__(self, run: Run, items: Rereadable, mine: Preprocess, yardstick: Yardstick) -> None:
        self._run = run
        self._kitchen = Kitchen(items)
        self._count = len(items)
        self._mine = mine
        self._yardstick = yardstick
        self._undo: Callable[[Array], Array] = lambda y: y

    def suspicions(
        self, theirs: Preprocess | None, inputs: Sequence[TensorSpec]
    ) -> tuple[Suspicion, ...]:
        declared = Hypothesis((), self._mine)
        answers = self._answers(declared, self._count)
        found: list[Suspicion] = []
        if answers is not None:
            found += self._after_the_model(answers)
        now = None if answers is None else self._yardstick.fit(self._undo(answers))
        # The logits under coarse probabilities have an error of their own, the answers none.
        undone = bool(found) and now is not None and (now.agreement or 0.0) >= _GOOD_AGREEMENT
        if now is not None and (now.error <= _SOUND or undone or (found and _good(now))):
            return tuple(found)
        if best := self._best(hypotheses(self._mine, theirs, inputs), now):
            found.append(self._suspicion(best, now))
        return tuple(found)

    def _answers(self, hypothesis: Hypothesis, count: int) -> Array | None:
        """float64 [count, U]; None where the file or an item refuses."""
        try:
            return rows(self._run(*self._kitchen.inputs(hypothesis, count))[0])
        except EdgeconvError:
            return None

    def _fit(self, hypothesis: Hypothesis, count: int) -> Fit | None:
        answers = self._answers(hypothesis, count)
        yardstick = self._yardstick.first(count)
        return None if answers is None else yardstick.fit(self._undo(answers))

    def _after_the_model(self, answers: Array) -> list[Suspicion]:
        """Mistakes in the answers; what is found is undone from here on."""
        found = []
        if special := not_dequantized(self._yardstick, answers):
            undoing, before, after = special
            found.append(self._undone(undoing, before, after, "relative error"))
        elif special := second_softmax(self._yardstick, answers):
            undoing, before, after = special
            found.append(self._undone(undoing, before, after, "mean KL"))
        elif shifted := self._shift(answers):
            found.append(shifted)
        return found

    def _undone(self, undoing: Undoing, before: float, after: float, measure: Measure) -> Suspicion:
        self._undo = undoing.undo
        sentence = output_sentence(undoing.kind, before, after, measure, undoing.how)
        return Suspicion(undoing.kind, sentence, before, after, measure)

    def _shift(self, answers: Array) -> Suspicion | None:
        """Class indices off by one."""
        if not self._yardstick.classifies:
            return None
        now = self._yardstick.fit(answers)
        for undoing in shifts(self._yardstick.truth.shape[1], answers):
            fit = self._yardstick.fit(undoing.undo(answers))
            if _mended(now, fit):
                assert now.agreement is not None and fit.agreement is not None
                return self._undone(undoing, now.agreement, fit.agreement, "agreement")
        return None

    def _best(self, tried: Sequence[Hypothesis], now: Fit | None) -> list[_Found]:
        """What mends it, the simplest first; empty where nothing does."""
        known = self._judged(self._screened([each for each in tried if each.known]))
        if known and _enough(now, known[0].fit):
            return _simplest(known, now)
        if now is not None and _good(now):
            return _simplest(known, now)
        alone = self._screened(tried)
        finalists = self._judged(alone)
        if not finalists or not _enough(now, finalists[0].fit):
            pairs = [
                both
                for first in alone[:_FIRSTS]
                for second in alone
                if (both := joined(first.hypothesis, second.hypothesis, self._mine))
            ]
            finalists = sorted(
                finalists + self._judged(self._screened(pairs)), key=lambda f: f.fit.error
            )
        return _simplest(finalists, now) or _simplest(known, now)

    def _screened(self, tried: Iterable[Hypothesis]) -> list[_Found]:
        """By error on a few items, best first."""
        count = min(_SCREEN, self._count)
        fits = [(hypothesis, self._fit(hypothesis, count)) for hypothesis in tried]
        found = [_Found(hypothesis, fit) for hypothesis, fit in fits if fit is not None]
        return sorted(found, key=lambda f: f.fit.error)

    def _judged(self, screened: Sequence[_Found]) -> list[_Found]:
        """The best of them on all items, best first."""
        return sorted(
            (
                _Found(found.hypothesis, fit)
                for found in screened[:_FINALISTS]
                if (fit := self._fit(found.hypothesis, self._count)) is not None
            ),
            key=lambda f: f.fit.error,
        )

    def _suspicion(self, best: Sequence[_Found], now: Fit | None) -> Suspicion:
        chosen = best[0]
        kinds = chosen.hypothesis.kinds
        before, after, measure = _figures(now, chosen.fit)
        singles = [f.hypothesis.kinds[0] for f in best[1:] if len(f.hypothesis.kinds) == 1]
        others = tuple(dict.fromkeys(kind for kind in singles if kind not in kinds))
        sentence = input_sentence(chosen.hypothesis, self._mine, before, after, measure, others)
        also = kinds[1] if len(kinds) > 1 else None
        return Suspicion(kinds[0], sentence, before, after, measure, also)


def _simplest(finalists: Sequence[_Found], now: Fit | None) -> list[_Found]:
    """Those that mend it as well as the best does, the simplest first."""
    good = [f for f in finalists if _mended(now, f.fit, f.hypothesis.known)]
    if not good:
        return []
    limit = max(good[0].fit.error * _TIE_SHARE, good[0].fit.error + _TIE_POINTS)
    ties = [found for found in good if found.fit.error <= limit]
    return sorted(ties, key=lambda f: (len(f.hypothesis.kinds), not f.hypothesis.known))


def _good(now: Fit) -> bool:
    """Whether parity is not bad everywhere, whatever the gate says."""
    agrees = now.agreement is None or now.agreement >= _GOOD_AGREEMENT
    return agrees and now.error <= _GOOD_ERROR


def _figures(now: Fit | None, then: Fit) -> tuple[float | None, float, Measure]:
    """What to show: agreement where it moves, else the error."""
    moves = now is None or now.agreement is None or now.agreement < (then.agreement or 0.0)
    if then.agreement is not None and moves:
        return (None if now is None else now.agreement), then.agreement, "agreement"
    return (None if now is None else now.error), then.error, "relative error"


def _mended(now: Fit | None, then: Fit, known: bool = False) -> bool:
    """Whether the error clearly falls and the answers come back."""
    if then.error > _LEFT:
        return False
    if now is None:
        return True
    if known and then.error <= _KNOWN_SHARE * now.error:
        return (then.agreement or 0.0) >= (now.agreement or 0.0)
    if then.error > _SHARE * now.error:
        return False
    if now.agreement is None or then.agreement is None:
        return True
    return then.agreement - now.agreement >= _BACK * (100.0 - now.agreement)


def _enough(now: Fit | None, then: Fit) -> bool:
    """Whether a single mistake explains it, so that no second one is looked for."""
    least = 0.5 * _SHARE * (100.0 if now is None else now.error)
    return _mended(now, then) and then.error <= least
