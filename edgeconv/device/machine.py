"""This machine's processor."""

from __future__ import annotations

import os
import platform
from pathlib import Path

__all__ = ["has_int8_dot_product", "machine"]

_CPUINFO = Path("/proc/cpuinfo")
#: Four or more int8 products in one instruction, in Linux's words for x86 and Arm.
_DOT_PRODUCTS = ("avx512_vnni", "avx_vnni", "asimddp")


def machine() -> str:
    """Processor and cores, without a host name."""
    model = platform.machine()
    names = _values("model name") or _values("Model")
    if names:
        model = f"{names[0]} ({model})"
    return f"{model}, {os.cpu_count()} cores"


def has_int8_dot_product() -> bool:
    """Whether the processor multiplies and sums int8 in one instruction; True where unknown."""
    flags = _values("flags") or _values("Features")
    return not flags or any(flag in flags[0].split() for flag in _DOT_PRODUCTS)


def _values(key: str) -> list[str]:
    try:
        lines = _CPUINFO.read_text(errors="replace").splitlines()
    except OSError:
        return []
    pairs = (line.partition(":") for line in lines)
    return [value.strip() for name, _, value in pairs if name.strip() == key]
