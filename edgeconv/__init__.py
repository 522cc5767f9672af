"""edgeconv: Keras models onto edge devices, with proof that they still work there.

Importing this package imports neither TensorFlow nor an inference engine.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
