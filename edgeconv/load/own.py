"""Architectures of our own catalogue: SqueezeNet 1.1 and AlexNet, built with Keras layers.

    squeezenet11(224, 1000)  ->  keras.Model, 1,235,496 parameters
    alexnet(224, 1000)       ->  keras.Model, 61,100,840 parameters

Runs in the workshop. keras.applications has neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

__all__ = ["BUILDERS", "alexnet", "squeezenet11"]


def squeezenet11(size: int, classes: int, *, top: bool = True) -> Any:
    """SqueezeNet 1.1: fire modules of a squeeze and two expansions, no dense layer.

    Args:
        size: Rows and columns of the input.
        classes: Channels of the last convolution.
        top: With that convolution and a softmax; else the averaged features.

    Source:
        https://github.com/forresti/SqueezeNet, SqueezeNet_v1.1/deploy.prototxt. Layers are
        numbered through as in WebNN's and ONNX's weights: conv0 to conv25.
    """
    import keras
    from keras import layers

    names = iter(range(26))

    def conv(x: Any, filters: int, kernel: int, **options: Any) -> Any:
        layer = layers.Conv2D(
            filters, kernel, activation="relu", name=f"conv{next(names)}", **options
        )
        return layer(x)

    x = inputs = keras.Input((size, size, 3), name="data")
    x = conv(x, 64, 3, strides=2)
    x = layers.MaxPooling2D(3, 2, name="pool0")(x)
    for fire, squeeze in enumerate((16, 16, 32, 32, 48, 48, 64, 64)):
        if fire in (2, 4):
            x = layers.MaxPooling2D(3, 2, name=f"pool{fire // 2}")(x)
        x = conv(x, squeeze, 1)
        wide = [conv(x, 4 * squeeze, 1), conv(x, 4 * squeeze, 3, padding="same")]
        x = layers.Concatenate(name=f"fire{fire}")(wide)
    if top:
        x = conv(layers.Dropout(0.5, name="drop")(x), classes, 1)
    x = layers.GlobalAveragePooling2D(name="pool3")(x)
    x = layers.Softmax(name="prob")(x) if top else x
    return keras.Model(inputs, x, name="squeezenet11")


def alexnet(size: int, classes: int, *, top: bool = True) -> Any:
    """AlexNet in one tower, as torchvision has it: no groups, no response normalization.

    Args:
        size: Rows and columns of the input; ``features_side`` says which serve.
        classes: Units of the last layer.
        top: With the three dense layers; else the averaged features.

    Source:
        Krizhevsky, One weird trick for parallelizing convolutional neural networks
        (arXiv:1404.5997), as in torchvision/models/alexnet.py. Keras flattens rows,
        columns, channels where torchvision flattens channels first.
    """
    import keras
    from keras import layers

    x = inputs = keras.Input((size, size, 3), name="data")
    x = layers.ZeroPadding2D(2, name="pad1")(x)
    x = layers.Conv2D(64, 11, strides=4, activation="relu", name="conv1")(x)
    x = layers.MaxPooling2D(3, 2, name="pool1")(x)
    x = layers.Conv2D(192, 5, padding="same", activation="relu", name="conv2")(x)
    x = layers.MaxPooling2D(3, 2, name="pool2")(x)
    for number, filters in ((3, 384), (4, 256), (5, 256)):
        layer = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"conv{number}")
        x = layer(x)
    x = layers.MaxPooling2D(3, 2, name="pool5")(x)
    if not top:
        return keras.Model(inputs, layers.GlobalAveragePooling2D(name="average")(x), name="alexnet")
    if x.shape[1] > _SIDE:
        x = layers.AveragePooling2D(x.shape[1] // _SIDE, name="average")(x)
    x = layers.Flatten(name="flatten")(x)
    for number in (6, 7):
        x = layers.Dropout(0.5, name=f"drop{number}")(x)
        x = layers.Dense(4096, activation="relu", name=f"fc{number}")(x)
    return keras.Model(
        inputs, layers.Dense(classes, activation="softmax", name="fc8")(x), name="alexnet"
    )


#: AlexNet's dense layers take 6 x 6 places.
_SIDE: Final = 6

BUILDERS: Final[Mapping[str, Callable[..., Any]]] = {
    "SqueezeNet11": squeezenet11,
    "AlexNet": alexnet,
}
