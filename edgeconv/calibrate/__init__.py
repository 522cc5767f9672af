"""Calibrate: streaming statistics of activations, and the clipping chosen from them."""
