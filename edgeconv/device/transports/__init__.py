"""Transports: a folder on another machine, and commands that run in it.

local              a temporary folder here
ssh://pi@board     the system's ssh
adb:SERIAL         Android's adb
qemu:aarch64       an emulated 64-bit Arm machine, here

One interface, ``Transport``; ``remote`` runs bundles through it.
"""

from edgeconv.device.transports.base import Transport
from edgeconv.device.transports.process import Completed
from edgeconv.device.transports.targets import TARGETS, check_target, open_transport

__all__ = ["TARGETS", "Completed", "Transport", "check_target", "open_transport"]
