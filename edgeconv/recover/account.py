"""What a search is given, and what it says of itself afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from edgeconv.recover.sensitivity import Sensitivity
from edgeconv.recover.trial import Glance, Score, Trial, Try
from edgeconv.types import Artifact, Format, Qat, Recipe

__all__ = ["Effort", "Ended", "Recovery", "Tried", "Workbench"]

Effort = Literal["fast", "balanced", "best"]
#: Why the search ended: the gate held, nothing was left to try, or it was cut short.
Ended = Literal["held", "tried", "budget", "interrupted"]


@dataclass(frozen=True)
class Workbench:
    """What the pipeline gives to a search.

    Attributes:
        formats: In the order of the export.
        layers: Keras names that may be kept in float, in execution order; none where
            the device takes nothing but integers.
        known: Passes and calibrators that there are.
        attempt: Makes and judges a recipe in one format, on what was held back.
        glance: The error of a recipe in the first format, on a few items.
        glances: How often it may be asked about layers alone; what takes long has fewer.
        forget: Told what is still needed; files of other trials may go.
        weights: How many weights each layer has; counted where layers are to be lifted.
        gates: Layers of squeeze-and-excite branches, likewise; looked for where none of the
            rungs before was enough.
        qat: How to train the weights, as the last rung that costs nothing on the device;
            None where that was not asked for.
    """

    formats: tuple[Format, ...]
    layers: tuple[str, ...]
    known: frozenset[str]
    attempt: Try
    glance: Glance
    glances: int
    forget: Callable[[Sequence[Score]], None]
    weights: Callable[[], Mapping[str, int]] = dict
    gates: Callable[[], tuple[str, ...]] = tuple
    qat: Qat | None = None


@dataclass(frozen=True)
class Tried:
    """One rung, as it went.

    Attributes:
        name: Of the rung.
        what: It does, in words.
        trial: In the formats that it was tried in: the others are spared where the
            first isn't better.
        kept: Whether it became part of the recipe.
        seconds: It took.
        failed: Why a format couldn't be made that way; "" where all could.
        layers: That it keeps in float as one; those of ``Recovery.sensitivity`` are not
            among them.
    """

    name: str
    what: str
    trial: Trial
    kept: bool
    seconds: float
    failed: str = ""
    layers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recovery:
    """What a search found.

    Attributes:
        effort: It was asked for.
        recipe: The best.
        artifacts: Made by it, in the order of the formats; none where the search was cut
            short before plain int8 was judged.
        ended: Why no more was tried.
        tried: The rungs in order, plain int8 first; none where it was cut short before.
        sensitivity: The layers by what they cost, worst first; none where none had to
            be kept in float.
    """

    effort: Effort
    recipe: Recipe
    artifacts: tuple[Artifact, ...]
    ended: Ended
    tried: tuple[Tried, ...]
    sensitivity: tuple[Sensitivity, ...] = ()
