"""Layers of a user's own: what ``--custom odd_layers --trust`` imports."""

import keras
from keras import layers


@keras.saving.register_keras_serializable("odd")
class Scaled(layers.Layer):
    """x -> x * learned scale."""

    def build(self, shape):
        self.scale = self.add_weight(name="scale", shape=(shape[-1],), initializer="ones")

    def call(self, x):
        return x * self.scale + 0.25


@keras.saving.register_keras_serializable("odd")
class Twice(keras.Model):
    """A model as a class, with a loop in its Python."""

    def __init__(self, classes, **kwargs):
        super().__init__(**kwargs)
        self.classes = classes
        self.convs = [layers.Conv2D(8, 3, name=f"conv{i}") for i in range(2)]
        self.pool = layers.GlobalAveragePooling2D()
        self.out = layers.Dense(classes, activation="softmax", name="out")

    def call(self, x):
        for conv in self.convs:
            x = keras.ops.relu(conv(x))
        return self.out(self.pool(x))

    def build(self, shape):
        for conv in self.convs:
            conv.build(shape)
            shape = conv.compute_output_shape(shape)
        self.out.build((None, shape[-1]))
        self.built = True

    def get_config(self):
        return {**super().get_config(), "classes": self.classes}


class Doubled(layers.Layer):
    """Not registered: its module's name stands in the file."""

    def call(self, x):
        return x * 2.0
