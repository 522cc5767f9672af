"""Calibrate: streaming statistics of activations, and the clipping chosen from them."""

from edgeconv.calibrate.calibrators import CALIBRATORS, clip, needs_histograms
from edgeconv.calibrate.observers import Observer

__all__ = ["CALIBRATORS", "Observer", "clip", "needs_histograms"]
