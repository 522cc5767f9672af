"""Choose the integers of a kernel so that its products change least.

    minimise over q     J = sum over o of  d[:, o]' G d[:, o],    d = q - w / s

G = E[x x'] over what the layer reads, s[o] one step of channel o. J is the mean square
of what rounding adds to the outputs (in steps): the quadratic problem of Nagel et al.,
equation 20, where rounding to nearest only minimises the sum of d^2. Channels don't
meet in J, so all columns are solved side by side.

1. Nearest plane. With G = M M', M upper triangular,  J = |M' d|^2  and

       (M' d)[i] = M[i, i] d[i] + sum over j < i of M[j, i] d[j]

   Each d[i] in turn takes back what those before it did: GPTQ's update, without the
   inverse (Babai's algorithm). Inputs with the most power come first.
2. Descent. d[i] moves by the whole steps that lower J most, -round((G d)[i] / G[i, i]),
   coordinate by coordinate, until none moves.

The largest weight of each channel keeps its +-127, so an engine that derives s from the
largest weight finds the same s, and so the same integers.

Sources: Nagel et al., "Up or Down? Adaptive Rounding for Post-Training Quantization",
ICML 2020, section 3 (the problem; solved there by gradient descent on a relaxation);
Frantar et al., "GPTQ", ICLR 2023, section 3.3; Chen et al., "The Geometry of LLM
Quantization: GPTQ as Babai's Nearest Plane Algorithm", 2025.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from edgeconv.types import Array

__all__ = ["WEIGHT_STEPS", "round_columns"]

#: -128 is not used.
WEIGHT_STEPS: Final = 127
#: Coordinates that are decided before their effect on the others is summed up.
_BLOCK: Final = 64
#: Of the descent; it ends by itself after three to eight.
_MOST_SWEEPS: Final = 20


def round_columns(columns: Array, gram: Array) -> Array:
    """The integers that change ``x @ columns`` least.

    Args:
        columns: float [B, K, O], in steps: the largest of each [b, :, o] is +-127.
        gram: float [B, K, K], of x: positive definite.

    Returns:
        float32 [B, K, O], whole numbers from -127 to 127.
    """
    power = np.diagonal(gram, axis1=1, axis2=2)
    order = np.argsort(-power, axis=1, kind="stable")[:, :, np.newaxis]
    columns = np.take_along_axis(columns.astype(np.float32), order, 1)
    gram = np.take_along_axis(gram.astype(np.float32), order, 1)
    gram = np.take_along_axis(gram, order.transpose(0, 2, 1), 2)
    peaks = np.abs(columns).argmax(axis=1)
    error = _nearest_plane(columns, gram, peaks)
    _descend(error, columns, gram, peaks)
    chosen = np.empty_like(columns)
    np.put_along_axis(chosen, order, np.rint(columns + error), 1)
    return chosen


def _nearest_plane(columns: Array, gram: Array, peaks: Array) -> Array:
    """Step 1.

    Returns:
        d, float32 [B, K, O].
    """
    upper = np.linalg.cholesky(gram[:, ::-1, ::-1])[:, ::-1, ::-1]
    error = np.zeros_like(columns)
    for start in range(0, columns.shape[1], _BLOCK):
        inside = slice(start, start + _BLOCK)
        owed = upper[:, :start, inside].transpose(0, 2, 1) @ error[:, :start]
        for i, k in enumerate(range(columns.shape[1])[inside]):
            nearer = upper[:, start:k, k : k + 1].transpose(0, 2, 1) @ error[:, start:k]
            exact = columns[:, k]
            wanted = exact - (owed[:, i] + nearer[:, 0]) / upper[:, k, k, np.newaxis]
            chosen = np.rint(np.clip(wanted, -WEIGHT_STEPS, WEIGHT_STEPS))
            error[:, k] = np.where(peaks == k, np.rint(exact), chosen) - exact
    return error


def _descend(error: Array, columns: Array, gram: Array, peaks: Array) -> None:
    """Step 2; ``error`` is changed."""
    live = np.arange(columns.shape[2])
    slope = gram @ error
    for _ in range(_MOST_SWEEPS):
        moved = np.zeros(live.size, bool)
        now = np.rint(columns[:, :, live] + error[:, :, live])
        for start in range(0, columns.shape[1], _BLOCK):
            inside = slice(start, start + _BLOCK)
            moves = _moves(
                now[:, inside], gram[:, inside, inside], slope[:, inside], peaks[:, live] - start
            )
            some = np.flatnonzero(moves.any(axis=(0, 1)))
            moved[some] = True
            now[:, inside] += moves
            slope[:, :, some] += gram[:, :, inside] @ moves[:, :, some]
        error[:, :, live] = now - columns[:, :, live]
        # A column that didn't move in a whole round has settled.
        live, slope = live[moved], slope[:, :, moved]
        if not live.size:
            return


def _moves(now: Array, gram: Array, slope: Array, peaks: Array) -> Array:
    """Whole steps by which one block of integers moves."""
    slope, moves = slope.copy(), np.zeros_like(now)
    for k in range(now.shape[1]):
        wanted = now[:, k] - np.rint(slope[:, k] / gram[:, k, k, np.newaxis])
        step = np.clip(wanted, -WEIGHT_STEPS, WEIGHT_STEPS) - now[:, k]
        step[peaks == k] = 0
        if step.any():
            moves[:, k] = step
            slope += gram[:, :, k, np.newaxis] * step[:, np.newaxis]
    return moves
