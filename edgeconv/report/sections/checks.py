"""Every threshold of the policy: what was asked, what it came to."""

from __future__ import annotations

from edgeconv.report.facts import Facts, Row, pointer
from edgeconv.report.metrics import shown, title, unit
from edgeconv.report.text import MISSING, escape, number
from edgeconv.types import Check

__all__ = ["check_section"]


def check_section(facts: Facts) -> str:
    """A row a check; empty where no artifact has any."""
    rows = [
        _row(row, index, check)
        for row in facts.rows
        for index, check in enumerate(row.artifact.checks)
    ]
    if not rows:
        return ""
    kept = sum(check.status == "pass" for row in facts.rows for check in row.artifact.checks)
    head = "".join(f"<th>{name}</th>" for name in ("Check", "Asked", "Found", "Meaning", "Status"))
    body = "\n".join(rows)
    return (
        f'<h2 id="checks">Checks</h2>\n<p class="note">{kept} of {len(rows)} passed.</p>\n'
        f'<table class="cards checks">\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table>"
    )


def _row(row: Row, index: int, check: Check) -> str:
    name = (
        f"<span><strong>{title(check.metric)}</strong>"
        f"<small>{escape(row.artifact.file)}</small></span>"
    )
    word, digits = unit(check.metric)
    sign = "≤" if check.at_most else "≥"
    limit = number(
        check.limit,
        word,
        max(1, digits),
        pointer(row.at, "checks", index, "limit"),
    )
    found = shown(check.metric, *row.metric(check.metric))
    cells = (
        ("Check", name),
        ("Asked", f"<span>{sign} {limit}</span>"),
        ("Found", found if found != MISSING else "not measured"),
        ("Meaning", f'<span class="reason">{escape(check.reason)}</span>'),
        ("Status", f'<span class="chip {check.status}">{check.status}</span>'),
    )
    return "<tr>" + "".join(f'<td data-label="{key}">{cell}</td>' for key, cell in cells) + "</tr>"
