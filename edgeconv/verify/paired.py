"""Intervals for what was counted on a few hundred items.

The two models see the same items, so their difference is paired: only the
items that exactly one of them gets right carry information about it.

    drop δ = P(reference right, candidate wrong) - P(reference wrong, candidate right)

Tango's interval holds every δ that the score test does not reject, with the
nuisance probability q = P(candidate alone right) at its maximum under δ:

    Z(δ) = (b - c - nδ) / sqrt(n (2q + δ(1 - δ)))        |Z(δ)| <= z

Unlike the intervals that look at the discordant items alone, it doesn't
collapse to a point where there are none: five equal answers prove nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

from edgeconv.errors import InternalError
from edgeconv.types import Interval

__all__ = [
    "NEEDED_CAP",
    "Z_ONE_SIDED",
    "Z_TWO_SIDED",
    "needed_by_width",
    "needed_for_agreement",
    "needed_more",
    "paired_drop",
    "tango_upper",
    "wilson",
]

#: Normal quantiles at 0.975 (two-sided 95%) and at 0.95 (one-sided 95%).
Z_TWO_SIDED = 1.959963984540054
Z_ONE_SIDED = 1.6448536269514722

#: Beyond a million more items nobody will measure; the estimate is the margin.
NEEDED_CAP = 1_000_000


def paired_drop(reference_only: int, candidate_only: int, samples: int) -> Interval:
    """The accuracy that the candidate lost, with Tango's score interval.

    Args:
        reference_only: Items that the reference alone got right.
        candidate_only: Items that the candidate alone got right.
        samples: All items.

    Returns:
        Percentage points, reference minus candidate.

    Raises:
        InternalError: Counts that no set of ``samples`` items can give.

    Source:
        T. Tango, Equivalence test and confidence interval for the difference in
        proportions for the paired-sample design, Statistics in Medicine 17
        (1998), 891-908.
    """
    b, c, n = reference_only, candidate_only, samples
    if n < 1 or b < 0 or c < 0 or b + c > n:
        raise InternalError(f"No {n} items give the paired counts {b} and {c}.")
    return Interval(
        estimate=100.0 * (b - c) / n,
        ci95=(-tango_upper(c, b, n, Z_TWO_SIDED), tango_upper(b, c, n, Z_TWO_SIDED)),
        lower95=-tango_upper(c, b, n, Z_ONE_SIDED),
        upper95=tango_upper(b, c, n, Z_ONE_SIDED),
    )


def wilson(hits: int, samples: int) -> Interval:
    """A proportion with Wilson's score interval.

    Args:
        hits: Items that have the property.
        samples: All items.

    Returns:
        Percent.

    Raises:
        InternalError: ``hits`` is not within 0 and ``samples``.

    Source:
        E. B. Wilson, Probable inference, the law of succession, and statistical
        inference, JASA 22 (1927), 209-212.
    """
    if samples < 1 or not 0 <= hits <= samples:
        raise InternalError(f"No {samples} items have {hits} hits among them.")
    misses = samples - hits
    return Interval(
        estimate=100.0 * hits / samples,
        ci95=(
            100.0 - _wilson_upper(misses, samples, Z_TWO_SIDED),
            _wilson_upper(hits, samples, Z_TWO_SIDED),
        ),
        lower95=100.0 - _wilson_upper(misses, samples, Z_ONE_SIDED),
        upper95=_wilson_upper(hits, samples, Z_ONE_SIDED),
    )


def needed_more(
    reference_only: int, candidate_only: int, samples: int, margin_pp: float
) -> int | None:
    """How many more items would decide whether the drop is inside the margin.

    Assumes that the observed rates of discordance hold.

    Args:
        reference_only: Items that the reference alone got right.
        candidate_only: Items that the candidate alone got right.
        samples: All items so far.
        margin_pp: Largest drop that is acceptable, percentage points.

    Returns:
        0 where it is decided already; None where more than NEEDED_CAP would
        be needed, as when the estimate sits on the margin.
    """
    b, c = reference_only / samples, candidate_only / samples
    estimate = 100.0 * (reference_only - candidate_only) / samples

    def inside(n: int) -> bool:
        return tango_upper(b * n, c * n, n, Z_ONE_SIDED) <= margin_pp

    def outside(n: int) -> bool:
        return -tango_upper(c * n, b * n, n, Z_ONE_SIDED) > margin_pp

    return _fewest_more(inside if estimate < margin_pp else outside, samples)


def needed_for_agreement(hits: int, samples: int, least_percent: float) -> int | None:
    """How many more items would decide whether agreement reaches ``least_percent``.

    Args:
        hits: Items on which both models agree.
        samples: All items so far.
        least_percent: Smallest agreement that is acceptable.

    Returns:
        As ``needed_more``.
    """
    rate = hits / samples

    def inside(n: int) -> bool:
        return 100.0 - _wilson_upper((1.0 - rate) * n, n, Z_ONE_SIDED) >= least_percent

    def outside(n: int) -> bool:
        return _wilson_upper(rate * n, n, Z_ONE_SIDED) < least_percent

    return _fewest_more(inside if 100.0 * rate > least_percent else outside, samples)


def needed_by_width(value: Interval, limit: float, samples: int) -> int | None:
    """How many more items would decide, from the width of the interval alone.

    Its distance to the estimate shrinks with the square root of the items.

    Args:
        value: Of ``samples`` items.
        limit: The threshold, on either side of the estimate.
        samples: All items so far.

    Returns:
        As ``needed_more``.
    """
    above = limit >= value.estimate
    width = value.upper95 - value.estimate if above else value.estimate - value.lower95
    distance = abs(limit - value.estimate)
    if distance * math.sqrt((samples + NEEDED_CAP) / samples) < width:
        return None
    return 0 if width == 0.0 else max(0, math.ceil(samples * ((width / distance) ** 2 - 1.0)))


def _fewest_more(decides: Callable[[int], bool], samples: int) -> int | None:
    """Smallest m <= NEEDED_CAP with decides(samples + m); it stays true once true."""
    if decides(samples):
        return 0
    low, high = samples, samples + NEEDED_CAP
    if not decides(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high - samples


@lru_cache(maxsize=4096)
def tango_upper(b: float, c: float, n: float, z: float) -> float:
    """Largest drop, in points, that the score test at ``z`` does not reject.

    Args:
        b: Items that the reference alone got right; an expected count needn't be whole.
        c: Items that the candidate alone got right.
        n: All items.
        z: Normal quantile.
    """
    low, high = (b - c) / n, 1.0
    # Z falls as δ grows, so bisection holds the crossing until no float lies between.
    while low < (middle := low + (high - low) / 2.0) < high:
        rejected = n * middle - (b - c) > z * math.sqrt(n * _variance(b, c, n, middle))
        low, high = (low, middle) if rejected else (middle, high)
    return 100.0 * low


def _variance(b: float, c: float, n: float, delta: float) -> float:
    """Variance of one pair's difference at its maximum likelihood under ``delta``."""
    if delta < 0.0:
        # Swapping the models mirrors the problem; the half δ >= 0 has no cancellation.
        return _variance(c, b, n, -delta)
    # q solves 2n q² + linear q + constant = 0, where constant <= 0.
    linear = -b - c + (2.0 * n - b + c) * delta
    constant = -c * delta * (1.0 - delta)
    root = math.sqrt(linear * linear - 8.0 * n * constant)
    q = -2.0 * constant / (linear + root) if linear > 0.0 else (root - linear) / (4.0 * n)
    return 2.0 * q + delta * (1.0 - delta)


def _wilson_upper(hits: float, n: float, z: float) -> float:
    """Upper end of Wilson's interval, percent."""
    rate = hits / n
    spread = z * math.sqrt(rate * (1.0 - rate) / n + z * z / (4.0 * n * n))
    bound = (rate + z * z / (2.0 * n) + spread) / (1.0 + z * z / n)
    # Rounding must not push the bound past the estimate or past everything.
    return 100.0 * min(1.0, max(bound, rate))
