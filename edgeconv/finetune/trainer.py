"""The walks over the pictures: an epoch, a judgement, the test (runs in the workshop)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv.finetune import augment
from edgeconv.finetune.material import SEEN, Features, Material, Pixels, parts, seeded
from edgeconv.finetune.settings import HEAD, Settings
from edgeconv.progress import Progress
from edgeconv.types import Array

__all__ = ["Score", "Trainer"]


@dataclass(frozen=True)
class Score:
    """How well some pictures were answered: weighted cross entropy in nats, share right."""

    loss: float
    accuracy: float


@dataclass
class _Tally:
    """What was answered so far."""

    loss: float = 0.0
    weight: float = 0.0
    right: int = 0
    count: int = 0

    def add(self, answered: tuple[Any, Any], weights: Array) -> None:
        loss, right = answered
        self.loss += float(loss)
        self.weight += float(weights.sum())
        self.right += int(right)
        self.count += len(weights)

    @property
    def score(self) -> Score:
        return Score(self.loss / self.weight, self.right / self.count)


class Trainer:
    """The network, its pictures, and the phase they are in.

    Args:
        pixels: The pictures and the network.
        settings: How to train.
        features: Where the file of features goes.
    """

    def __init__(self, pixels: Pixels, settings: Settings, features: Path) -> None:
        self.network = pixels.network
        self._pixels, self._settings, self._path = pixels, settings, features
        self._material: Material = pixels

    def begin(self, phase: str, progress: Progress) -> None:
        """Turn to ``phase``; its optimizer has seen nothing yet."""
        self.optimizer = self.network.begin(phase)
        self._material = self._pixels
        if phase == HEAD:
            self._material = Features(self._pixels, self._path, self._settings.seed, progress)
        self._compile()

    def _compile(self) -> None:
        """One step of training, and scores without it, as graphs."""
        import tensorflow as tf

        network, optimizer, material = self.network, self.optimizer, self._material

        def losses(logits: Any, classes: Any, weights: Any) -> tuple[Any, Any]:
            loss = weights * tf.nn.sparse_softmax_cross_entropy_with_logits(classes, logits)
            right = tf.argmax(logits, axis=1) == classes
            return tf.reduce_sum(loss), tf.reduce_sum(tf.cast(right, tf.int32))

        def step(x: Any, classes: Any, weights: Any, seed: Any) -> tuple[Any, Any]:
            with tf.GradientTape() as tape:
                logits = network.logits(material.features(x, seed), seed + 1)
                loss, right = losses(logits, classes, weights)
                mean = optimizer.scale_loss(loss / tf.cast(tf.shape(classes)[0], tf.float32))
            optimizer.apply(tape.gradient(mean, network.trained), network.trained)
            return loss, right

        def answer(x: Any, classes: Any, weights: Any) -> tuple[Any, Any]:
            return losses(network.logits(material.features(x)), classes, weights)

        classes, weights = tf.TensorSpec([None], tf.int64), tf.TensorSpec([None], tf.float32)
        inputs = [material.signature, classes, weights]
        seed = tf.TensorSpec([2], tf.int32)
        self._step = tf.function(step, autograph=False, input_signature=[*inputs, seed])
        self._answer = tf.function(answer, autograph=False, input_signature=inputs)

    @property
    def steps(self) -> int:
        """Samples that an epoch walks over, those that judge it among them."""
        return self._material.samples + len(self._pixels.pictures.validation)

    def epoch(self, number: int, learning_rate: float, progress: Progress) -> Score:
        """Walk once over the training samples, in an order of this epoch's own."""
        self.optimizer.learning_rate = learning_rate
        self.network.reseed(number)
        train, seed, tally = self._pixels.pictures.train, self._settings.seed, _Tally()
        order = np.random.default_rng([seed, number]).permutation(self._material.samples)
        for step, rows in enumerate(parts(order, self._settings.batch)):
            classes, weights = self._targets(train[rows % len(train)])
            x = self._material.train(rows)
            tally.add(self._step(x, classes, weights, seeded(seed, number, step)), weights)
            progress.advance(len(rows))
        return tally.score

    def validate(self, progress: Progress) -> Score:
        """Judge by the validation pictures, as they are."""
        places, tally = self._pixels.pictures.validation, _Tally()
        for rows in parts(np.arange(len(places)), SEEN):
            classes, weights = self._targets(places[rows])
            tally.add(self._answer(self._material.held(rows), classes, weights), weights)
            progress.advance(len(rows))
        return tally.score

    def _targets(self, places: Array) -> tuple[Array, Array]:
        pictures = self._pixels.pictures
        classes = pictures.classes[places]
        return classes, pictures.weights[classes]

    def classes(self, model: Any, places: Array, progress: Progress) -> list[int]:
        """The likeliest class of the pictures at ``places``, by a whole Keras model."""
        import tensorflow as tf

        pixels = self._pixels

        def likeliest(x: Any) -> Any:
            return tf.argmax(model(augment.inputs(pixels.preprocess, x), training=False), axis=1)

        function = tf.function(likeliest, autograph=False, input_signature=[pixels.signature])
        found: list[int] = []
        for rows in parts(np.arange(len(places)), SEEN):
            found += [int(index) for index in function(pixels.read(places[rows]))]
            progress.advance(len(rows))
        return found
