"""The gated interval of every artifact, drawn against its margin; what stands beside it.

Only the items that one of the two models gets right tell of a drop. Statistics of
every item's scores are known far more exactly, so they are shown beside it; they
decide nothing, since no margin of theirs is a drop.
"""

from __future__ import annotations

from edgeconv.report.facts import Facts
from edgeconv.report.figures import interval_figure
from edgeconv.report.metrics import shown, title
from edgeconv.report.text import escape

__all__ = ["margin_section"]

#: Metric -> what it tells.
_BESIDE = {
    "mean_kl_interval": "How far the scores moved on average; 0 is not at all.",
    "margin_change": "How much the lead of the right class (without labels, of the original's "
    "answer) over its best rival changed; below 0 is worse.",
    "margin_reference": "That lead in the original, to compare the change with.",
}


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
        f"bounds that decide. Shaded: beyond the margin.</figcaption>\n</figure>{_beside(facts)}"
    )


def _beside(facts: Facts) -> str:
    """A row a statistic, a column an artifact; empty where none was measured."""
    names = [n for n in _BESIDE if any(n in row.artifact.metrics for row in facts.rows)]
    if not names:
        return ""
    files = [escape(row.artifact.file) for row in facts.rows]
    body = "\n".join(
        f'<tr><td data-label="Statistic"><span><strong>{title(name)}</strong>'
        f'<span class="reason">{_BESIDE[name]}</span></span></td>'
        + "".join(
            f'<td data-label="{file}">{shown(name, *row.metric(name))}</td>'
            for file, row in zip(files, facts.rows, strict=True)
        )
        + "</tr>"
        for name in names
    )
    head = "".join(f"<th>{name}</th>" for name in ["Beside the gate: scores of all items", *files])
    return (
        f'\n<table class="cards beside">\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table>"
    )
