"""What a phase learns from: the pictures themselves, or features that are computed once.

    Pixels    picture ──changed anew──► base ──► features      each time it is seen
    Features  VIEWS changed pictures  ──► base ──► features    once; the base is frozen

Runs in the workshop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgeconv.finetune import arrays, augment
from edgeconv.finetune.network import Network
from edgeconv.finetune.settings import VIEWS
from edgeconv.preprocess import Preprocess
from edgeconv.progress import Progress
from edgeconv.types import Array

__all__ = ["SEEN", "Features", "Material", "Pictures", "Pixels", "parts", "seeded"]

#: Pictures whose features are computed at once where nothing is learnt from them.
SEEN: Final = 32


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


@dataclass(frozen=True, eq=False)
class Pixels:
    """The pictures, each changed anew whenever it is seen.

    Attributes:
        pictures: All of them.
        network: Makes features of them.
        preprocess: From pixels to the base's input.
        mirror: Whether left and right may change places.
    """

    pictures: Pictures
    network: Network
    preprocess: Preprocess
    mirror: bool

    @property
    def samples(self) -> int:
        """How many an epoch walks over."""
        return len(self.pictures.train)

    @property
    def signature(self) -> Any:
        """Of a batch, as a tf.TensorSpec."""
        import tensorflow as tf

        return tf.TensorSpec((None, *self.pictures.pixels.shape[1:]), tf.uint8)

    def train(self, rows: Array) -> Array:
        """A batch of training samples."""
        return self.read(self.pictures.train[rows])

    def held(self, rows: Array) -> Array:
        """A batch of validation samples."""
        return self.read(self.pictures.validation[rows])

    def read(self, places: Array) -> Array:
        """uint8 [N, H, W, 3]."""
        return np.asarray(self.pictures.pixels[places])

    def features(self, x: Any, seed: Any | None = None) -> Any:
        """float32 [N, D] of a batch: changed and for training where ``seed`` is given."""
        x = x if seed is None else augment.changed(x, seed, mirror=self.mirror)
        x = augment.inputs(self.preprocess, x)
        return self.network.features(x, training=seed is not None)


class Features:
    """Features of the frozen base, of several views of each picture.

    Args:
        pixels: Of these.
        path: Becomes float32 [VIEWS, N, D].
        seed: Of the views.
        progress: Told how far it is.
    """

    def __init__(self, pixels: Pixels, path: Path, seed: int, progress: Progress) -> None:
        import tensorflow as tf

        pictures, length = pixels.pictures, pixels.network.length
        self._count, self._length = len(pictures.train), length
        held = len(pictures.validation)
        progress.stage(f"features of {VIEWS} views of each picture", VIEWS * self._count + held)
        seeds = tf.TensorSpec([2], tf.int32)
        plain = tf.function(
            lambda x: pixels.features(x), autograph=False, input_signature=[pixels.signature]
        )
        changed = tf.function(
            pixels.features, autograph=False, input_signature=[pixels.signature, seeds]
        )
        self._train = arrays.mapped(path, np.float32, (VIEWS, self._count, length))
        for view in range(VIEWS):
            for step, rows in enumerate(parts(np.arange(self._count), SEEN)):
                x = pixels.train(rows)
                found = changed(x, seeded(seed, view, step, 1)) if view else plain(x)
                self._train[view, rows] = found
                progress.advance(len(rows))
        self._held = np.empty((held, length), np.float32)
        for rows in parts(np.arange(held), SEEN):
            self._held[rows] = plain(pixels.held(rows))
            progress.advance(len(rows))

    @property
    def samples(self) -> int:
        """How many an epoch walks over: every view."""
        return VIEWS * self._count

    @property
    def signature(self) -> Any:
        """Of a batch, as a tf.TensorSpec."""
        import tensorflow as tf

        return tf.TensorSpec((None, self._length), tf.float32)

    def train(self, rows: Array) -> Array:
        """A batch of training samples: one view after the other."""
        return np.asarray(self._train[rows // self._count, rows % self._count])

    def held(self, rows: Array) -> Array:
        """A batch of validation samples."""
        return self._held[rows]

    def features(self, x: Any, seed: Any | None = None) -> Any:
        """A batch is its features."""
        return x


Material = Pixels | Features


def parts(order: Array, size: int) -> Iterator[Array]:
    """Nearly equal parts: BatchNorm learns little from a last part of one picture."""
    yield from np.array_split(order, max(1, -(-len(order) // size)))


def seeded(*numbers: int) -> Array:
    """int32 [2] for TensorFlow's stateless random numbers, unlike that of any other numbers."""
    return np.random.SeedSequence(numbers).generate_state(2).astype(np.int32)
