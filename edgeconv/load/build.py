"""Building a zoo model: the architecture, then its weights (runs in the workshop)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgeconv.errors import RefusedInput
from edgeconv.load import mend, zoo
from edgeconv.load.own import BUILDERS
from edgeconv.load.random_weights import few_pictures, settle

__all__ = ["build"]


def build(
    constructor: str,
    *,
    size: int,
    classes: int,
    alpha: float,
    top: bool,
    weights: str | None,
    seed: int,
) -> Any:
    """A Keras model of the catalogue.

    Args:
        constructor: As in the catalogue.
        size: Rows and columns of its input.
        classes: Units of its classifier.
        alpha: Width; 1.0 for models that have none.
        top: With the classifier; else its features, averaged over the picture.
        weights: Checked file, or None for seeded random ones.
        seed: Of random weights.

    Raises:
        RefusedInput: The file holds other weights.
    """
    import keras

    entry = next(model for model in zoo.ZOO if model.constructor == constructor)

    def make(with_top: bool) -> Any:
        # Layers are numbered anew, so that the same file always fits.
        keras.backend.clear_session()
        keras.utils.set_random_seed(seed)
        # Dense layers behind a Flatten are of the published size, whatever the features'.
        side = size if with_top is top else entry.input_size
        return _construct(constructor, side, classes, alpha, with_top)

    model = make(top)
    if weights is None:
        settle(model, few_pictures(zoo.preprocess_for(entry, size, size)), head=top)
        return model
    return _weighted(model, weights, make, top, f"{constructor} with {classes} classes")


def _construct(constructor: str, size: int, classes: int, alpha: float, top: bool) -> Any:
    import keras

    if constructor in BUILDERS:
        return BUILDERS[constructor](size, classes, top=top)
    options: dict[str, Any] = {"classes": classes} if top else {"pooling": "avg"}
    if alpha != 1.0:
        options["alpha"] = alpha
    if not constructor.startswith("EfficientNetV2"):  # finds its blocks under its own name
        options["name"] = constructor
    return getattr(keras.applications, constructor)(
        weights=None, input_shape=(size, size, 3), include_top=top, **options
    )


def _weighted(model: Any, weights: str, make: Callable[[bool], Any], top: bool, what: str) -> Any:
    """``model`` with the file's weights: its own, or where it has no top those of the whole."""
    try:
        model.load_weights(weights)
        return model
    except Exception as error:
        cause = error
    if not top:
        whole = make(True)
        try:
            whole.load_weights(weights)
            return _headless(make(False), whole.weights)
        except Exception as error:
            cause = error
    raise RefusedInput(
        f"{Path(weights).name} does not hold the weights of {what}: {mend.first_line(cause)}",
        "Give the weights of this very model, or the whole model file as MODEL.",
    ) from cause


def _headless(model: Any, weights: Any) -> Any:
    """Give the features the first of the whole model's weights: a head comes last."""
    for ours, theirs in zip(model.weights, weights, strict=False):
        if ours.shape != theirs.shape or ours.name != theirs.name:
            raise ValueError(f"{ours.path} is not {theirs.path}")
        ours.assign(theirs)
    return model
