"""Exact error rates of the gate, by enumerating every pair of counts.

    python benchmarks/gate_errors.py [--margin 1.0]

For each number of items and rate of discordance (items that exactly one of the two
models gets right): how often a model whose true drop is the margin passes or fails,
and how often one whose true drop is zero does. Takes a minute.
"""

from __future__ import annotations

import argparse
import math

from edgeconv.verify.checks import check
from edgeconv.verify.paired import paired_drop

SIZES = (250, 1000, 5000)
DISCORDANCE = (1.0, 2.0, 5.0, 10.0, 15.0)


def probability(b: int, c: int, n: int, p: float, q: float) -> float:
    """Trinomial, of b and c out of n."""
    if c and q <= 0.0:
        return 0.0
    a = n - b - c
    ways = math.lgamma(n + 1) - math.lgamma(b + 1) - math.lgamma(c + 1) - math.lgamma(a + 1)
    alone = b * math.log(p) + (c * math.log(q) if c else 0.0)
    return math.exp(ways + alone + a * math.log1p(-p - q))


def reach(mean: float, n: int) -> range:
    """Counts beyond which less than 1e-7 of the probability lies."""
    width = 5.5 * math.sqrt(mean) + 8
    return range(max(0, int(mean - width)), min(n, int(mean + width)) + 1)


def rates(n: int, drop: float, discordance: float, margin: float) -> tuple[float, float]:
    """Share of exports that pass and that fail; drop, discordance and margin in points."""
    p, q = (discordance + drop) / 200, (discordance - drop) / 200
    shares = {"pass": 0.0, "fail": 0.0, "inconclusive": 0.0}
    for b in reach(n * p, n):
        for c in reach(n * q, n):
            share = probability(b, c, n, p, q) if b + c <= n else 0.0
            if share > 1e-10:
                drops = {"top1_drop": paired_drop(b, c, n)}
                shares[check("top1_drop", margin, None, drops).status] += share
    return shares["pass"], shares["fail"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--margin", type=float, default=1.0)
    margin = parser.parse_args().margin
    print("| items | discordant | drop = margin: pass | fail | no drop: pass | fail |")
    print("|---|---|---|---|---|---|")
    for n in SIZES:
        for discordance in DISCORDANCE:
            on, none = (rates(n, drop, discordance, margin) for drop in (margin, 0.0))
            cells = " | ".join(f"{100 * share:.2f}%" for share in (*on, *none))
            print(f"| {n:,} | {discordance:g}% | {cells} |", flush=True)


if __name__ == "__main__":
    main()
