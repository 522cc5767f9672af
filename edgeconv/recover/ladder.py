"""Climb the ladder: one rung after another, each on top of what was kept before.

    plain int8 ──holds──► done                      (balanced; best tries every rung)
        │ doesn't
        ▼
    ranges, equalization, biases, rounding ──► training, where it is asked for
                                           ──► what held the gate on the way, if anything did
                                           ──► gates, then the most sensitive layers, in float

A rung is kept only where it is better, so the result is never worse than plain int8. The
same trials give the same recipe: no timing decides but the user's own budget and limits.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from edgeconv.errors import RefusedInput, Unsupported
from edgeconv.progress import Progress
from edgeconv.recover.account import Effort, Ended, Recovery, Tried, Workbench
from edgeconv.recover.lift import Lift, between, chosen
from edgeconv.recover.rungs import RUNGS, Rung, gates_in_float, in_one_format, training
from edgeconv.recover.sensitivity import Sensitivity
from edgeconv.recover.stop import OutOfTime, Stopped, stoppable, within
from edgeconv.recover.trial import WORTH, Score, Trial, better, hurts
from edgeconv.types import Format, Recipe

__all__ = ["climb"]

#: How many rungs that held the gate in one format are tried in the other.
_SETTLED: Final = 3
#: Numbers of layers in float that are tried beside the one worth most, where none holds the gate.
_NEARED: Final = 3
#: Layers in float that are named in a line.
_NAMED: Final = 6


def climb(
    bench: Workbench,
    recipe: Recipe,
    effort: Effort,
    watch: Progress,
    budget_s: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Recovery:
    """Find the recipe that keeps the accuracy.

    Args:
        bench: Makes and judges.
        recipe: Plain int8, where the climb begins.
        effort: ``balanced`` ends where the gate holds; ``best`` tries all rungs that
            cost nothing on the device, and keeps layers in float only where the gate
            doesn't hold otherwise.
        watch: Told which rung is tried, and the best so far.
        budget_s: Seconds, of which judging plain int8 takes as many as it needs.
        clock: Seconds that pass.

    Returns:
        The best recipe found until the end, the budget's end or Ctrl-C.
    """
    search = _Search(bench, recipe, effort, watch, budget_s, clock)
    ended: Ended
    try:
        with stoppable():
            ended = search.run()
    except Stopped:
        ended = "interrupted"
        watch.note("interrupted: going on with the best so far; Ctrl-C again ends edgeconv")
    except OutOfTime:
        ended = "budget"
        watch.note(f"the budget of {budget_s:g} s is spent: going on with the best so far")
    return search.account(ended)


class _Search:
    """The best so far, and how it came to be."""

    def __init__(
        self,
        bench: Workbench,
        recipe: Recipe,
        effort: Effort,
        watch: Progress,
        budget_s: float | None,
        clock: Callable[[], float],
    ) -> None:
        self._recipe = recipe
        self._bench, self._effort, self._watch = bench, effort, watch
        self._clock = clock
        self._end = None if budget_s is None else clock() + budget_s
        self._failed = ""
        self._seen = {recipe}
        self._tried: list[Tried] = []
        self._sensitivity: list[Sensitivity] = []
        self._plain: Trial | None = None
        self._best: Trial | None = None

    def account(self, ended: Ended) -> Recovery:
        """What came of it; everything that isn't part of it is forgotten."""
        scores = self._best.scores if self._best else ()
        self._bench.forget(scores)
        recipe = self._best.recipe if self._best else self._recipe
        made = tuple(replace(score.artifact, recipe=recipe) for score in scores)
        tried, sensitivity = tuple(self._tried), tuple(self._sensitivity)
        return Recovery(self._effort, recipe, made, ended, tried, sensitivity)

    def run(self) -> Ended:
        """Plain int8, the rungs, then layers in float; within the time after plain int8."""
        self._begin()
        with within(None if self._end is None else self._end - self._clock()):
            for rung in self._rungs():
                if self._is_wanted(rung):
                    self._step(rung)
            if not self._holding:
                self._settle()
            if not self._holding and (gates := self._bench.gates()):
                self._step(gates_in_float(gates))
            if self._bench.layers:
                self._lift()
        return "held" if self._holding else "tried"

    @property
    def _holding(self) -> bool:
        return self._best is not None and self._best.holds

    def _rungs(self) -> Iterator[Rung]:
        yield from RUNGS
        if self._bench.qat is not None:
            yield training(self._bench.qat)

    def _is_wanted(self, rung: Rung) -> bool:
        """Where one estimate alone says that the gate holds, seconds are well spent."""
        assert self._best is not None
        if self._effort == "best" or rung.asked:
            return True
        return not (self._best.surely_holds or (rung.slow and self._best.holds))

    def _begin(self) -> None:
        """Judge plain int8 in every format; time is no reason to leave that out."""
        self._watch.stage("judge plain int8 on what was held back")
        started = self._clock()
        scores = [self._bench.attempt(self._recipe, format) for format in self._bench.formats]
        self._plain = self._best = Trial(self._recipe, tuple(scores))
        self._note("plain int8", "nothing changed", self._plain, True, started)

    def _step(self, rung: Rung) -> None:
        """Try one rung on top of the best, where it changes anything."""
        assert self._best is not None and self._plain is not None
        recipe = rung.change(self._best.recipe)
        if not rung.possible(self._bench.known) or recipe in self._seen:
            return
        self._seen.add(recipe)
        self._watch.stage(f"try {rung.name} ({self._so_far()})")
        started = self._clock()
        trial = self._climbing(recipe)
        whole = len(trial.scores) == len(self._bench.formats)
        kept = whole and self._is_better(trial, rung.worth)
        if not kept and rung.ranges_only:
            trial, kept = self._in_one_format(trial)
        self._note(rung.name, rung.what, trial, kept, started, rung.layers)
        if kept:
            self._best = trial
        passed_over = (score for tried in self._passed_over() for score in tried.trial.scores)
        self._bench.forget((*self._plain.scores, *self._best.scores, *passed_over))

    def _climbing(self, recipe: Recipe) -> Trial:
        """The recipe in one format after the other, as long as it is better."""
        best = self._best
        assert best is not None
        scores: list[Score] = []
        # What doesn't hold yet is what a rung is for; else the cheapest format comes first.
        order = sorted(self._bench.formats, key=lambda format: best.of(format).stands)
        for format in order:
            if scores and not self._is_better(Trial(recipe, tuple(scores))):
                break
            score = self._attempt(recipe, format)
            if score is None:
                break
            scores.append(score)
        return self._sorted(recipe, scores)

    def _attempt(self, recipe: Recipe, format: Format) -> Score | None:
        """The recipe in one format; None where it can't be made or doesn't run."""
        self._mind_the_time()
        try:
            return self._bench.attempt(recipe, format)
        except (Unsupported, RefusedInput) as error:
            self._failed = error.message
            return None

    def _glance(self, recipe: Recipe) -> float:
        self._mind_the_time()
        try:
            error = self._bench.glance(recipe)
        except (Unsupported, RefusedInput):
            return math.inf
        return error if math.isfinite(error) else math.inf

    def _sorted(self, recipe: Recipe, scores: Sequence[Score]) -> Trial:
        place = self._bench.formats.index
        return Trial(recipe, tuple(sorted(scores, key=lambda score: place(score.format))))

    def _in_one_format(self, trial: Trial) -> tuple[Trial, bool]:
        """The new ranges for the one format that gains by them: they are each file's own."""
        assert self._best is not None
        for score in trial.scores:
            recipe = in_one_format(self._best.recipe, trial.recipe.calibrator, score.format)
            others = [each for each in self._best.scores if each.format != score.format]
            found = self._sorted(recipe, [score, *others])
            if others and self._is_better(found):
                return found, True
        return trial, False

    def _is_better(self, trial: Trial, worth: float = WORTH) -> bool:
        assert self._best is not None and self._plain is not None
        if trial.recipe.qat is not None and self._best.recipe.qat is None:
            # A mean over all would tell of one odd item what training did to the others.
            return better(trial.typically, self._best.typically, self._plain.typically)
        return better(trial, self._best, self._plain, worth)

    def _settle(self) -> None:
        """Take a rung that held the gate and wasn't best by its loss: no layer need be in float."""
        assert self._plain is not None
        for tried in self._passed_over():
            self._watch.stage(f"try {tried.name} again ({self._so_far()})")
            started = self._clock()
            recipe, known = tried.trial.recipe, {s.format: s for s in tried.trial.scores}
            scores: list[Score] = []
            for format in self._bench.formats:
                score = known.get(format) or self._attempt(recipe, format)
                if score is None or not score.stands:
                    break
                scores.append(score)
            trial = Trial(recipe, tuple(scores))
            kept = len(scores) == len(self._bench.formats) and not hurts(trial, self._plain)
            self._note(f"{tried.name} again", "it held the gate", trial, kept, started)
            if kept:
                self._best = trial
                return

    def _passed_over(self) -> list[Tried]:
        """The best of the rungs that held the gate, where what was kept doesn't."""
        held = [] if self._holding else [t for t in self._tried if self._may_hold(t.trial)]
        held.sort(key=lambda tried: max(score.loss for score in tried.trial.scores))
        return held[:_SETTLED]

    def _may_hold(self, trial: Trial) -> bool:
        """Whether all of it that was tried holds the gate, without losing more than plain int8."""
        assert self._plain is not None
        return bool(trial.scores) and trial.holds and not hurts(trial, self._plain)

    def _lift(self) -> None:
        """Keep the most sensitive layers in float, fewest first, each format its own number."""
        assert self._best is not None
        recipe, bases = self._best.recipe, self._best.scores
        if all(base.holds for base in bases):
            return
        int8 = [
            name
            for name in self._bench.layers
            if recipe.precision_of(name, self._bench.formats[0]) == "int8"
        ]
        lift = Lift(replace(self._bench, layers=tuple(int8)), self._glance, recipe)
        self._watch.stage(f"find the most sensitive layers ({self._so_far()})")
        self._sensitivity = lift.rank()
        found = {base.format: (0, base) for base in bases}
        try:
            for base in bases:
                if not base.holds:
                    self._fewest(lift, base, found)
        finally:  # whatever was found is kept when the time ends, too
            self._keep(lift, found)

    def _keep(self, lift: Lift, found: Mapping[Format, tuple[int, Score]]) -> None:
        counts = {format: count for format, (count, _) in found.items()}
        most = max(counts.values())
        if not most:
            return
        started = self._clock()
        trial = Trial(lift.recipe(counts), tuple(score for _, score in found.values()))
        kept = self._is_better(trial)
        what = _named([each.layer for each in self._sensitivity[:most]])
        self._note("layers kept in float", what, trial, kept, started)
        if kept:
            self._best = trial

    def _fewest(self, lift: Lift, base: Score, found: dict[Format, tuple[int, Score]]) -> None:
        """Find the fewest layers in float that hold the gate in one format.

        Where none do, those that are worth it.
        """
        assert self._plain is not None and self._best is not None
        plain, best, format = self._plain, self._best, base.format
        asked, tried = {0}, {0: base}

        def holds(count: int) -> bool:
            self._watch.stage(f"try {_layers(count)} in float ({self._so_far()})")
            started = self._clock()
            recipe = lift.recipe({format: count})
            score = self._attempt(recipe, format)
            trial = Trial(recipe, () if score is None else (score,))
            what = "the most sensitive, so that the gate holds"
            self._note(f"{_layers(count)} in float", what, trial, False, started)
            asked.add(count)
            if score is None or hurts(trial, plain):
                return False
            tried[count] = score
            number = chosen(tried)
            found[format] = number, tried[number]
            kept = (score for _, score in found.values())
            self._bench.forget((*plain.scores, *best.scores, *kept))
            return score.stands

        if lift.fewest(holds) is None:
            for _ in range(_NEARED):
                more = between(asked, found[format][0])
                if more is not None:
                    holds(more)

    def _mind_the_time(self) -> None:
        if self._end is not None and self._clock() >= self._end:
            raise OutOfTime

    def _note(
        self,
        name: str,
        what: str,
        trial: Trial,
        kept: bool,
        started: float,
        layers: tuple[str, ...] = (),
    ) -> None:
        seconds = self._clock() - started
        self._tried.append(Tried(name, what, trial, kept, seconds, self._failed, layers))
        self._failed = ""

    def _so_far(self) -> str:
        """The best so far in a few words, of the format that fares worst."""
        assert self._best is not None
        worst = max(self._best.scores, key=lambda score: score.loss)
        agreement = worst.metrics.get("agreement")
        if isinstance(agreement, float):
            return f"agreement {agreement:.1f}%"
        return f"error {worst.loss:.2g}%"


def _named(layers: Sequence[str]) -> str:
    more = len(layers) - _NAMED
    return ", ".join(layers[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _layers(count: int) -> str:
    return "1 layer" if count == 1 else f"{count} layers"
