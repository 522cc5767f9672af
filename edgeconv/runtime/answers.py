"""From a model's output to an answer: activation, the k best, their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np

from edgeconv.errors import RefusedInput
from edgeconv.runtime.text import UNSAFE_TEXT
from edgeconv.types import Array

__all__ = ["Answer", "Prediction", "activate", "best", "read_labels"]


@dataclass(frozen=True)
class Answer:
    """What the model said of one item.

    Attributes:
        source: Of the item: its file name, with ``[i]`` for one of a batch.
        outputs: One float32 array an output, without the batch axis, before
            the activation.
        activated: The first output after the activation, float64: probabilities
            where that is a softmax or sigmoid.
    """

    source: str
    outputs: tuple[Array, ...]
    activated: Array


@dataclass(frozen=True)
class Prediction:
    """One class of an answer.

    Attributes:
        index: Of the class.
        label: Its name, or the index as text where there are no labels.
        score: The model's output, before the activation.
        probability: After it; None where the model has no activation.
    """

    index: int
    label: str
    score: float
    probability: Optional[float]


def activate(x: Array, activation: str) -> Array:
    """softmax(x)_i = exp(x_i - max x) / sum_j exp(x_j - max x);  sigmoid(x) = 1 / (1 + exp(-x)).

    Args:
        x: float [..., classes].
        activation: ``linear``, ``softmax`` or ``sigmoid``.

    Returns:
        float64, the shape of ``x``; no value of ``x`` overflows.
    """
    x = x.astype(np.float64)
    if activation == "softmax":
        powers = np.exp(x - x.max(axis=-1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
    if activation == "sigmoid":
        small = np.exp(-np.abs(x))  # in (0, 1], on either side of zero
        return np.where(x >= 0.0, 1.0, small) / (1.0 + small)
    return x


def best(answer: Answer, activation: str, labels: Sequence[str], count: int) -> list[Prediction]:
    """The ``count`` best classes, best first; of equals the lower index first."""
    scores = answer.outputs[0].astype(np.float64).ravel()
    activated = answer.activated.ravel()
    if activation == "sigmoid" and scores.size == 1 and len(labels) == 2:
        # A single sigmoid speaks of its second class; the first is its complement.
        scores = np.array([-scores[0], scores[0]])
        activated = np.array([1.0 - activated[0], activated[0]])
    order = np.argsort(-scores, kind="stable")[: max(count, 0)]
    return [
        Prediction(
            index=int(i),
            label=labels[i] if i < len(labels) else str(i),
            score=float(scores[i]),
            probability=None if activation == "linear" else float(activated[i]),
        )
        for i in order
    ]


def read_labels(data: bytes) -> tuple[str, ...]:
    """The class names in labels.txt, one a line.

    Raises:
        RefusedInput: No UTF-8, or a name holds control characters.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise RefusedInput("labels.txt is no UTF-8 text.") from None
    lines = text.split("\n")
    labels = tuple(lines[:-1] if not lines[-1] else lines)
    for number, label in enumerate(labels, 1):
        if UNSAFE_TEXT.search(label):
            raise RefusedInput(f"labels.txt has a control character in line {number}.")
    return labels
