"""Device: what runs the model, and how fast."""

from edgeconv.device.bench import bench
from edgeconv.device.latency import Latency, measure
from edgeconv.device.packages import find_problems, installed, refuse_clash, refuse_missing

__all__ = [
    "Latency",
    "bench",
    "find_problems",
    "installed",
    "measure",
    "refuse_clash",
    "refuse_missing",
]
