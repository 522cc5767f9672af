"""The gated interval of every artifact, drawn against its margin."""

from __future__ import annotations

from edgeconv.report.facts import Facts
from edgeconv.report.figures import interval_figure

__all__ = ["margin_section"]


def margin_section(facts: Facts) -> str:
    """The figure and how to read it; empty where nothing was gated by an interval."""
    artifacts = [row.artifact for row in facts.rows]
    svg = interval_figure(artifacts)
    if not svg:
        return ""
    drop = any(artifact.gated == "top1_drop" for artifact in artifacts)
    title = "Drop against the margin" if drop else "Agreement against the margin"
    what = "Top-1 drop in percentage points" if drop else "Items with the same answer, in percent"
    return (
        f'<h2 id="margin">{title}</h2>\n<figure>\n{svg}\n<figcaption>{what}. The dot is the '
        "estimate, the thin line its 95% interval, the broad line runs between the one-sided "
        "bounds that decide. Shaded: beyond the margin.</figcaption>\n</figure>"
    )
