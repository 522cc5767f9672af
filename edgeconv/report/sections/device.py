"""What a device was, what it took, and how many of its outputs are the host's to the bit."""

from __future__ import annotations

from edgeconv.report.device import device_sentences
from edgeconv.report.facts import Facts
from edgeconv.report.sections.listing import definitions, flat
from edgeconv.report.text import escape

__all__ = ["device_section"]


def device_section(facts: Facts) -> str:
    """Two sentences, and all that it told; empty where no device ran."""
    if facts.device is None:
        return ""
    sentences = "\n".join(f"<p>{escape(text)}.</p>" for text in device_sentences(facts.device))
    return f'<h2 id="device">Device</h2>\n{sentences}\n{definitions(flat(facts.device))}'
