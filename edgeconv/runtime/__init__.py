"""Runtime: what ships. NumPy, Pillow and one engine; never TensorFlow."""
