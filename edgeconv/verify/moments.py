"""The mean of what was seen, with an interval that bears skew; constant memory.

KL divergences have a long right tail, so Student's interval is too low: of
lognormal values its upper 95% bound misses the mean in 10% of samples of 250,
Hall's in 7%. His transformation takes the skew γ out of t first:

    g(t) = t + γ t² / 3 + γ² t³ / 27 + γ / 6n        t = (mean - μ) / s

g is monotone, so the interval is found by g's inverse:

    μ = mean - s g⁻¹(±q / √n)        g⁻¹(y) = (3/γ) ((1 + γ (y - γ / 6n))^(1/3) - 1)
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import NormalDist

from edgeconv.types import Interval

__all__ = ["Moments", "student_quantile"]


class Moments:
    """Streaming mean, variance and skew of a series of numbers.

    Attributes:
        count: Numbers so far.
        mean: Of them; 0 before the first.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self._second = 0.0
        self._third = 0.0

    def add(self, values: Iterable[float]) -> None:
        """Fold in some numbers, one by one: the grouping changes no bit.

        Source:
            P. Pébay, Formulas for robust, one-pass parallel computation of
            covariances and arbitrary-order statistical moments, Sandia report
            SAND2008-6212.
        """
        for value in values:
            before, self.count = self.count, self.count + 1
            delta = value - self.mean
            step = delta / self.count
            term = delta * step * before
            self._third += term * step * (self.count - 2) - 3.0 * step * self._second
            self._second += term
            self.mean += step

    def interval(self, lowest: float = -math.inf, highest: float = math.inf) -> Interval | None:
        """The mean with its interval; None of fewer than two numbers.

        Args:
            lowest: No mean can be below.
            highest: No mean can be beyond.

        Source:
            P. Hall, On the removal of skewness by transformation, Journal of the
            Royal Statistical Society B 54 (1992), 221-228.
        """
        if self.count < 2:
            return None
        two_sided, one_sided = (student_quantile(p, self.count - 1) for p in (0.975, 0.95))

        def bound(quantile: float) -> float:
            return min(highest, max(lowest, self.mean - self._inverse(quantile)))

        return Interval(
            estimate=self.mean,
            ci95=(bound(two_sided), bound(-two_sided)),
            lower95=bound(one_sided),
            upper95=bound(-one_sided),
        )

    def _inverse(self, quantile: float) -> float:
        """The deviation times g⁻¹(quantile / √n)."""
        n = self.count
        deviation = math.sqrt(max(0.0, self._second) / (n - 1))
        y = quantile / math.sqrt(n)
        cube = math.sqrt(max(0.0, self._second) / n) ** 3
        skew = self._third / n / cube if cube else 0.0
        # Below this the transformation is the identity to the last digit that matters.
        if abs(skew) < 1e-6:
            return deviation * y
        inner = math.cbrt(1.0 + skew * (y - skew / (6.0 * n)))
        return deviation * 3.0 / skew * (inner - 1.0)


def student_quantile(probability: float, freedom: int) -> float:
    """Quantile of Student's t.

    Exact for one and two degrees of freedom, else the asymptotic expansion, whose
    error at 0.975 is below 0.5% from three on.

    Args:
        probability: In (0, 1).
        freedom: Degrees of freedom, at least 1.

    Source:
        Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    if freedom == 1:
        return math.tan(math.pi * (probability - 0.5))
    if freedom == 2:
        return (2.0 * probability - 1.0) / math.sqrt(2.0 * probability * (1.0 - probability))
    x = NormalDist().inv_cdf(probability)
    terms = (
        (x**3 + x) / 4.0,
        (5.0 * x**5 + 16.0 * x**3 + 3.0 * x) / 96.0,
        (3.0 * x**7 + 19.0 * x**5 + 17.0 * x**3 - 15.0 * x) / 384.0,
        (79.0 * x**9 + 776.0 * x**7 + 1482.0 * x**5 - 1920.0 * x**3 - 945.0 * x) / 92160.0,
    )
    return x + math.fsum(term / float(freedom) ** at for at, term in enumerate(terms, 1))
