"""Packing for TensorFlow Lite Micro: operators, memory plan, C source."""

from edgeconv.package.micro.arena import Arena, plan_arena
from edgeconv.package.micro.operators import resolver_methods
from edgeconv.package.micro.source import c_array_files

__all__ = ["Arena", "c_array_files", "plan_arena", "resolver_methods"]
