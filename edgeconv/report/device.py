"""What a device was, took and gave, in two sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeconv.pictures import printable

__all__ = ["device_sentences"]


def device_sentences(facts: Mapping[str, Any]) -> tuple[str, str]:
    """What ran and what it cost; and how many of its outputs are the host's to the bit.

    Args:
        facts: The ``device`` of a verification.
    """
    engine, latency, peak = facts["engine"], facts["latency_ms"], facts["peak_memory_kib"]
    memory = "" if peak is None else f", {peak / 1024:.0f} MiB at most"
    cost = (
        f"{engine['name']} {engine['version']} on {facts['target']} ({facts['machine']}, "
        f"Python {facts['python']}, NumPy {facts['numpy']}): {latency['median']:.1f} ms median, "
        f"{latency['p95']:.1f} ms p95, loaded in {facts['load_ms']:.0f} ms{memory}"
    )
    return printable(cost), printable(_bits(facts["bit_identical"], facts["host_engine"]))


def _bits(bits: Mapping[str, Any], host: Mapping[str, Any]) -> str:
    here = f"this machine's ({host['name']} {host['version']})"
    if not bits["values_differing"]:
        return f"All {bits['values']:,} outputs of {bits['items']:,} items are {here} to the bit"
    most = bits["largest_difference"]
    by = "" if most is None else f", by {most:.3g} at most"
    return (
        f"{bits['values_differing']:,} of {bits['values']:,} outputs differ from {here} in a bit, "
        f"in {bits['items_differing']:,} of {bits['items']:,} items{by}"
    )
