"""Device: what runs the model, and how fast."""

from edgeconv.device.bench import bench
from edgeconv.device.latency import Latency, measure

__all__ = ["Latency", "bench", "measure"]
