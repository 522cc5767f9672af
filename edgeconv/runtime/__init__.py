"""Runtime: what ships. NumPy, Pillow and one engine; never TensorFlow."""

from edgeconv.runtime.engines import ENGINES, Model, installed_engines, open_model

__all__ = ["ENGINES", "Model", "installed_engines", "open_model"]
