"""The walks over the pictures: features, an epoch, a judgement (runs in the workshop)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgeconv.finetune import augment
from edgeconv.finetune.network import Network
from edgeconv.finetune.settings import HEAD, VIEWS, Settings
from edgeconv.preprocess import Preprocess
from edgeconv.progress import Progress
from edgeconv.types import Array

__all__ = ["Pictures", "Score", "Trainer"]

#: Pictures that are judged at once.
_JUDGED: Final = 32


@dataclass(frozen=True, eq=False)
class Pictures:
    """What is learnt from.

    Attributes:
        pixels: uint8 [N, H, W, 3], of the model's size; mapped from a file.
        classes: int64 [N].
        train: Places of those that train.
        validation: Places of those that choose the best epoch.
        weights: float32 [classes], of a picture of each class in the loss.
    """

    pixels: Array
    classes: Array
    train: Array
    validation: Array
    weights: Array


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

    def add(self, loss: Any, right: Any, weights: Array) -> None:
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
        network: What is trained.
        pictures: What with.
        preprocess: From pixels to the base's input.
        settings: How.
        folder: Where the features lie.
    """

    def __init__(
        self,
        network: Network,
        pictures: Pictures,
        preprocess: Preprocess,
        settings: Settings,
        folder: Path,
    ) -> None:
        self.network, self._pictures = network, pictures
        self._preprocess, self._settings, self._folder = preprocess, settings, folder
        self._seen: Array | None = None
        self._held: Array | None = None

    def begin(self, phase: str, progress: Progress) -> None:
        """Turn to ``phase``; its optimizer has seen nothing yet."""
        self.optimizer = self.network.begin(phase)
        self._phase = phase
        self._step, self._answer = self._compiled()
        if phase == HEAD and self._seen is None:
            self._look(progress)

    def _compiled(self) -> tuple[Any, Any]:
        """One step of training, and scores without it, as graphs."""
        import tensorflow as tf

        network, optimizer = self.network, self.optimizer
        over_features = self._phase == HEAD

        def losses(logits: Any, classes: Any, weights: Any) -> tuple[Any, Any]:
            loss = weights * tf.nn.sparse_softmax_cross_entropy_with_logits(classes, logits)
            right = tf.argmax(logits, axis=1) == classes
            return tf.reduce_sum(loss), tf.reduce_sum(tf.cast(right, tf.int32))

        def step(x: Any, classes: Any, weights: Any, seed: Any) -> tuple[Any, Any]:
            with tf.GradientTape() as tape:
                if not over_features:
                    x = augment.changed(x, seed)
                    x = network.features(augment.inputs(self._preprocess, x), training=True)
                loss, right = losses(network.logits(x, seed + 1), classes, weights)
                mean = optimizer.scale_loss(loss / tf.cast(tf.shape(classes)[0], tf.float32))
            gradients = tape.gradient(mean, network.trained)
            optimizer.apply(gradients, network.trained)
            return loss, right

        def answer(x: Any, classes: Any, weights: Any) -> tuple[Any, Any]:
            if not over_features:
                x = network.features(augment.inputs(self._preprocess, x))
            return losses(network.logits(x), classes, weights)

        shape = (None, network.length) if over_features else self._pictures.pixels.shape[1:]
        x = tf.TensorSpec(shape if over_features else (None, *shape), self._dtype())
        classes, weights = tf.TensorSpec([None], tf.int64), tf.TensorSpec([None], tf.float32)
        seed = tf.TensorSpec([2], tf.int32)
        return (
            tf.function(step, input_signature=[x, classes, weights, seed]),
            tf.function(answer, input_signature=[x, classes, weights]),
        )

    def _dtype(self) -> str:
        return "float32" if self._phase == HEAD else "uint8"

    def _look(self, progress: Progress) -> None:
        """Compute the frozen base's features of every view, once."""
        train, validation = self._pictures.train, self._pictures.validation
        progress.stage(
            f"features of {VIEWS} views of each picture", VIEWS * len(train) + len(validation)
        )
        shape = (VIEWS, len(train), self.network.length)
        self._seen = np.lib.format.open_memmap(
            self._folder / "features.npy", "w+", np.float32, shape
        )
        function = self._viewer()
        for view in range(VIEWS):
            for number, rows in enumerate(_parts(np.arange(len(train)), _JUDGED)):
                seed = self._seed(view, number, part=1)
                self._seen[view, rows] = function(self._pixels(train[rows]), view > 0, seed)
                progress.advance(len(rows))
        self._held = np.empty((len(validation), self.network.length), np.float32)
        for rows in _parts(np.arange(len(validation)), _JUDGED):
            held = function(self._pixels(validation[rows]), False, self._seed(0, 0, part=1))
            self._held[rows] = held
            progress.advance(len(rows))

    def _viewer(self) -> Any:
        import tensorflow as tf

        def view(x: Any, changes: Any, seed: Any) -> Any:
            pictures = tf.cast(x, tf.float32)
            if changes:
                pictures = augment.changed(pictures, seed)
            return self.network.features(augment.inputs(self._preprocess, pictures))

        shape = (None, *self._pictures.pixels.shape[1:])
        signature = [
            tf.TensorSpec(shape, tf.uint8),
            tf.TensorSpec([], tf.bool),
            tf.TensorSpec([2], tf.int32),
        ]
        return tf.function(view, input_signature=signature)

    def epoch(self, number: int, learning_rate: float, progress: Progress) -> Score:
        """Walk once over the training pictures (over all their views in the head's phase)."""
        self.optimizer.learning_rate = learning_rate
        self.network.reseed(number)
        train, tally = self._pictures.train, _Tally()
        order = np.random.default_rng([self._settings.seed, number]).permutation(self.samples)
        for step, rows in enumerate(_parts(order, self._settings.batch)):
            places = train[rows % len(train)]
            classes, weights = self._targets(places)
            if self._seen is None or self._phase != HEAD:
                x = self._pixels(places)
            else:
                x = self._seen[rows // len(train), rows % len(train)]
            tally.add(*self._step(x, classes, weights, self._seed(number, step)), weights)
            progress.advance(len(rows))
        return tally.score

    @property
    def samples(self) -> int:
        """How many an epoch walks over."""
        return len(self._pictures.train) * (VIEWS if self._phase == HEAD else 1)

    def validate(self) -> Score:
        """Judge by the validation pictures, as they are."""
        places, tally = self._pictures.validation, _Tally()
        for rows in _parts(np.arange(len(places)), _JUDGED):
            classes, weights = self._targets(places[rows])
            if self._held is None or self._phase != HEAD:
                x = self._pixels(places[rows])
            else:
                x = self._held[rows]
            tally.add(*self._answer(x, classes, weights), weights)
        return tally.score

    def classes(self, model: Any, places: Array, progress: Progress) -> list[int]:
        """The likeliest class of the pictures at ``places``, by a whole Keras model."""
        import tensorflow as tf

        def likeliest(x: Any) -> Any:
            return tf.argmax(model(augment.inputs(self._preprocess, x), training=False), axis=1)

        shape = (None, *self._pictures.pixels.shape[1:])
        function = tf.function(likeliest, input_signature=[tf.TensorSpec(shape, tf.uint8)])
        found: list[int] = []
        for rows in _parts(np.arange(len(places)), _JUDGED):
            found += [int(index) for index in function(self._pixels(places[rows]))]
            progress.advance(len(rows))
        return found

    def _targets(self, places: Array) -> tuple[Array, Array]:
        classes = self._pictures.classes[places]
        return classes, self._pictures.weights[classes]

    def _pixels(self, places: Array) -> Array:
        return np.asarray(self._pictures.pixels[places])

    def _seed(self, number: int, step: int, part: int = 0) -> Array:
        sequence = np.random.SeedSequence([self._settings.seed, part, number, step])
        return sequence.generate_state(2).astype(np.int32)


def _parts(order: Array, size: int) -> Iterator[Array]:
    """Nearly equal parts: BatchNorm learns little from a last part of one picture."""
    yield from np.array_split(order, max(1, -(-len(order) // size)))
