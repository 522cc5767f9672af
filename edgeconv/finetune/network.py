"""The base and its new head while they are trained, and the plain model that they become.

    pictures ──base──► features [N, D] ──dropout──► predictions [N, classes]

Runs in the workshop.
"""

from __future__ import annotations

from typing import Any, Final

from edgeconv.errors import UsageError
from edgeconv.finetune.settings import DROPOUT, HEAD, Settings

__all__ = ["Network", "recast"]

#: BatchNorm forgets by this much a step where it learns its statistics. The zoo's 0.99 and
#: 0.999 are for the 400,000 steps of ImageNet; a small folder makes some hundred.
_SCRATCH_MOMENTUM: Final = 0.9


class Network:
    """What is trained.

    Args:
        base: Keras model, pictures -> float [N, D].
        classes: Units of the head.
        settings: How to train.
        mixed: The base computes in float16 where that is safe.

    Raises:
        UsageError: More layers are to be trained than it has.
    """

    def __init__(self, base: Any, classes: int, settings: Settings, *, mixed: bool = False) -> None:
        import keras

        _refuse_more(base, settings.layers)
        keras.utils.set_random_seed(settings.seed)
        self._settings, self._mixed = settings, mixed
        self.base = recast(base, "mixed_float16") if mixed else base
        self.length = int(base.output.shape[-1])
        self.head = keras.layers.Dense(classes, dtype="float32", name="predictions")
        self.head.build((None, self.length))
        self._momenta = _set_momentum(self.base) if settings.scratch else {}

    def begin(self, phase: str) -> Any:
        """Freeze what ``phase`` leaves as it is; a new optimizer for the rest."""
        import keras

        self._freeze(phase)
        self.trained = [*self.base.trainable_variables, *self.head.trainable_variables]
        optimizer = keras.optimizers.Adam(self._settings.peak_rate(phase))
        if self._mixed:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(self.trained)
        return optimizer

    def _freeze(self, phase: str) -> None:
        layers, count = self.base.layers, 0 if phase == HEAD else self._settings.layers
        frozen = 0 if count is None else len(layers) - count
        for place, layer in enumerate(layers):
            layer.trainable = place >= frozen

    @property
    def changing(self) -> list[Any]:
        """All variables that training changes; BatchNorm's statistics only from scratch."""
        if not self._settings.scratch:
            return self.trained
        return [*self.base.weights, *self.head.weights]

    def features(self, x: Any, *, training: bool = False) -> Any:
        """float32 [N, D] of inputs; BatchNorm keeps its statistics unless they are learnt."""
        import tensorflow as tf

        return tf.cast(self.base(x, training=training and self._settings.scratch), tf.float32)

    def logits(self, features: Any, seed: Any | None = None) -> Any:
        """float32 [N, classes] of features; with a dropout where ``seed`` is given."""
        import tensorflow as tf

        if seed is not None:
            features = tf.nn.experimental.stateless_dropout(features, DROPOUT, seed)
        return self.head(features)

    def reseed(self, number: int) -> None:
        """Begin anew the random numbers of layers that have their own."""
        for layer in self.base.layers:
            generator = getattr(layer, "seed_generator", None)
            if generator is not None:
                generator.state.assign([self._settings.seed, number])

    def plain(self) -> Any:
        """The float32 Keras model, with dropout and softmax, that is saved."""
        import keras

        base = recast(self.base, "float32") if self._mixed else self.base
        for layer in base.layers:
            layer.trainable = True
            if layer.name in self._momenta:
                layer.momentum = self._momenta[layer.name]
        x = keras.layers.Dropout(DROPOUT, name="dropout_of_features")(base.output)
        head = keras.layers.Dense(self.head.units, activation="softmax", name="predictions")
        model = keras.Model(base.input, head(x), name=self.base.name)
        head.set_weights(self.head.get_weights())
        return model


def _refuse_more(base: Any, count: int | None) -> None:
    if count is not None and count > len(base.layers):
        raise UsageError(
            f"{base.name} has {len(base.layers)} layers, --unfreeze says {count:,}.",
            "Give fewer, or all.",
        )


def _set_momentum(base: Any) -> dict[str, float]:
    """Let BatchNorm forget faster; what it was before."""
    import keras

    norms = [each for each in base.layers if isinstance(each, keras.layers.BatchNormalization)]
    before = {norm.name: norm.momentum for norm in norms}
    for norm in norms:
        norm.momentum = _SCRATCH_MOMENTUM
    return before


def recast(model: Any, policy: str) -> Any:
    """The same model and weights, computing in another dtype policy.

    Args:
        model: Functional.
        policy: Such as ``mixed_float16``.
    """
    import keras

    def clone(layer: Any) -> Any:
        return type(layer).from_config({**layer.get_config(), "dtype": policy})

    other = keras.models.clone_model(model, clone_function=clone)
    other.set_weights(model.get_weights())
    return other
