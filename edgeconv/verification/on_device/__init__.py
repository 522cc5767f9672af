"""The candidate on a device: the same inputs there and here, and what differs.

items ──► inputs ──┬──► device: infer.py ──► raw outputs ──┬──► bits that differ
                   └──► host: the same file ──► raw outputs ┴──► a row of the verdict
"""

from edgeconv.verification.on_device.answers import Answers
from edgeconv.verification.on_device.judge import Judge, host_as_reference
from edgeconv.verification.on_device.order import DeviceOrder, check_order
from edgeconv.verification.on_device.run import DeviceRun

__all__ = ["Answers", "DeviceOrder", "DeviceRun", "Judge", "check_order", "host_as_reference"]
