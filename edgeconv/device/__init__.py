"""Device: what runs the model, and how fast."""

from edgeconv.device.bench import bench
from edgeconv.device.latency import Latency, measure
from edgeconv.device.matching import (
    describe_device,
    recipe_for,
    refuse_clashing_order,
    refuse_graph,
    refuse_source,
    why_this_precision,
)
from edgeconv.device.packages import (
    devices_here,
    find_problems,
    installed,
    refuse_clash,
    refuse_missing,
)
from edgeconv.device.profiles import Device, device_names, find_device

__all__ = [
    "Device",
    "Latency",
    "bench",
    "describe_device",
    "device_names",
    "devices_here",
    "find_device",
    "find_problems",
    "installed",
    "measure",
    "recipe_for",
    "refuse_clash",
    "refuse_clashing_order",
    "refuse_graph",
    "refuse_missing",
    "refuse_source",
    "why_this_precision",
]
