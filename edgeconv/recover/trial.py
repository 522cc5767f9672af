"""Trial: how the artifacts of one recipe fare on what was held back, and which of two is better.

    better   the loss of all formats together is smaller, by 2% where the gate held before
    hurts    a format loses more than plain int8 does, by more than chance

The loss is a mean over all scores of all items (relative error and KL divergence), so fifty
pictures are enough to tell two recipes apart; counted answers decide on the gate alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from edgeconv.types import Artifact, Format, MetricValue, Recipe

__all__ = ["WORTH", "Glance", "Score", "Trial", "Try", "better", "hurts"]

#: Smaller gains than this are not worth a rung: the loss on fifty pictures isn't
#: known any better, paired as it is.
WORTH: Final = 0.02
#: A loss may exceed that of plain int8 by this factor where answers are saved elsewhere.
_CHANCE: Final = 1.1
#: An eighth of the answers may change at 10 dB and none be lost by two hundred labels:
#: MobileNetV3Small's did. Models that keep their answers have 20 and more.
_COARSE_DB: Final = 20.0
#: Below this a loss is float32's own rounding.
_NOTHING: Final = 1e-9


@dataclass(frozen=True)
class Score:
    """One artifact on the held-back items.

    Attributes:
        artifact: The file; it stays until the search is told of something better.
        holds: The gate, by its estimate, or by ``expected_drop`` where the labels can't
            tell.
        loss: Relative error of the scores in percent; of a classifier by softmax or sigmoid
            its geometric mean with the root of the mean KL, which weighs the scores that
            matter but rests on few items. Infinite where an answer is NaN.
        missed: Items answered unlike the reference; 0 where nothing is classified.
        metrics: As in ``verdict.json``.
        reason: What the gate came to, in one sentence.
        latency_ms: Median of single runs here, as a guide.
        exceeds: The limits that the artifact breaks, in words; empty where none.
        expected_drop: Points of top-1 that the changed answers cost by the original's own
            probabilities; None where it tells none.
        doubtful: The gate holds by one of the two estimates alone.
        typical: A loss that no few odd items make up, of which training can say more than
            ``loss`` can; None where it is the same.
    """

    artifact: Artifact
    holds: bool
    loss: float
    missed: int
    metrics: Mapping[str, MetricValue]
    reason: str
    latency_ms: float
    exceeds: tuple[str, ...] = ()
    expected_drop: float | None = None
    doubtful: bool = False
    typical: float | None = None

    @property
    def format(self) -> Format:
        """Of the artifact."""
        return self.artifact.format

    @property
    def coarse(self) -> bool:
        """Scores that are off by more than a tenth, where labels alone hold the gate."""
        sqnr_db = self.metrics.get("sqnr_db")
        return "top1_drop" in self.metrics and isinstance(sqnr_db, float) and sqnr_db < _COARSE_DB

    @property
    def stands(self) -> bool:
        """The gate holds, and every limit."""
        return self.holds and not self.exceeds


@dataclass(frozen=True)
class Trial:
    """One recipe in every format that was tried.

    Attributes:
        recipe: How.
        scores: One a format, in the order of the export.
    """

    recipe: Recipe
    scores: tuple[Score, ...]

    @property
    def holds(self) -> bool:
        """The gate, and every limit, in every format."""
        return all(score.stands for score in self.scores)

    @property
    def surely_holds(self) -> bool:
        """The same, by every estimate, with scores near enough that no luck is in it."""
        return self.holds and not any(score.doubtful or score.coarse for score in self.scores)

    @property
    def typically(self) -> Trial:
        """The same, its losses those of typical items."""
        scores = (s if s.typical is None else replace(s, loss=s.typical) for s in self.scores)
        return replace(self, scores=tuple(scores))

    def of(self, format: Format) -> Score:
        """The score of one format."""
        return next(score for score in self.scores if score.format == format)


#: What the pipeline gives: the recipe's artifact in one format, judged.
Try = Callable[[Recipe, Format], Score]
#: Error power of the first output over its signal's, on a few items, in the first format.
Glance = Callable[[Recipe], float]


def better(new: Trial, best: Trial, plain: Trial, worth: float = WORTH) -> bool:
    """Whether ``new`` is to take the place of ``best``.

    Args:
        new: Tried in the formats of ``best``, or in the first of them.
        best: So far.
        plain: What no rung may be worse than.
        worth: Smaller gains of the logarithm of the loss aren't, where the gate held
            before or is still lost.
    """
    lost = any(best.of(score.format).stands and not score.stands for score in new.scores)
    if lost or hurts(new, plain) or (_exceeds(new) and not _exceeds(best)):
        return False
    gain = _log_loss(best, new) - _log_loss(new, new)
    # Answers that come back while the loss grows came back by chance.
    return gain > (0.0 if new.holds and not _stands(best, new) else worth)


def hurts(new: Trial, plain: Trial) -> bool:
    """Whether a format fares worse than plain int8, by more than chance."""
    return any(_hurts(score, plain.of(score.format)) for score in new.scores)


def _hurts(new: Score, plain: Score) -> bool:
    chance = max(1.0, math.sqrt(plain.missed))
    lost = new.missed > plain.missed + chance or (plain.holds and not new.holds)
    return lost or not _floor(new.loss) <= _CHANCE * _floor(plain.loss)


def _exceeds(trial: Trial) -> bool:
    return any(score.exceeds for score in trial.scores)


def _stands(best: Trial, new: Trial) -> bool:
    """Whether ``best`` holds gate and limits in the formats of ``new``."""
    return all(best.of(score.format).stands for score in new.scores)


def _log_loss(trial: Trial, over: Trial) -> float:
    """Mean logarithm of the losses, over the formats of ``over``."""
    losses = [_floor(trial.of(score.format).loss) for score in over.scores]
    return sum(map(math.log, losses)) / len(losses)


def _floor(loss: float) -> float:
    # log(infinity) is infinity, but infinity - infinity is no gain either way.
    return min(max(loss, _NOTHING), 1e30)
