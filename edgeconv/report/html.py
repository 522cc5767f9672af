"""report.html: one file, offline, without a script.

The page holds nothing that wasn't handed in: no clock, no environment. Its
Content-Security-Policy allows its own style sheet (by hash) and nothing else,
so even a hole in the escaping could load and run nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgeconv.report.figure import interval_figure
from edgeconv.report.sections import (
    disagreement_section,
    facts_section,
    latency_section,
    recipe_section,
    structure_section,
)
from edgeconv.report.style import STYLE, STYLE_HASH
from edgeconv.report.table import artifact_table
from edgeconv.report.text import escape
from edgeconv.types import Status, Verdict

__all__ = ["render"]

_POLICY = (
    f"default-src 'none'; style-src '{STYLE_HASH}'; img-src 'none'; "
    "base-uri 'none'; form-action 'none'"
)

_HEADLINES: dict[Status, str] = {
    "pass": "Passed: the accuracy of the original is kept",
    "inconclusive": "Undecided: proof would take more data",
    "fail": "Failed: accuracy was lost",
}

_HOW_TO_READ = """<p>A drop is the original's top-1 accuracy minus the converted model's, in
percentage points, on the same inputs. Its interval is Tango's score interval for paired
proportions; an artifact passes when the one-sided 95% upper bound is inside the margin and fails
when the lower bound is outside. KL is the mean Kullback-Leibler divergence of the converted
model's answers from the original's, SQNR the power of the original's outputs over the power of
the error, both before the final activation.</p>"""


def render(
    verdict: Verdict,
    manifest: Mapping[str, Any],
    bench: Mapping[str, Any],
    recipe_text: str,
    disagreements: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The page as text; the same arguments give the same bytes.

    Args:
        verdict: What the page is about.
        manifest: Content of manifest.json.
        bench: Content of bench.json: ``artifacts`` with ``file`` and
            ``latency_ms_median`` each, whatever else it says, and ``date``.
        recipe_text: Content of recipe.toml.
        disagreements: Items answered differently: ``file``, ``item``,
            ``reference``, ``candidate`` and, where known, ``expected``.
    """
    title = f"{manifest.get('name', 'model')} · {verdict.status}"
    body = [
        _header(manifest, bench),
        _banner(verdict),
        "<h2>Artifacts</h2>",
        artifact_table(verdict, manifest, bench),
        _figure(verdict),
        latency_section(bench),
        structure_section(manifest),
        "<h2>Details</h2>",
        disagreement_section(disagreements),
        recipe_section(recipe_text),
        facts_section(manifest),
        f"<footer><h2>How to read this</h2>{_HOW_TO_READ}</footer>",
    ]
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="referrer" content="no-referrer">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
            "</head>",
            "<body>",
            *(part for part in body if part),
            "</body>",
            "</html>",
            "",
        ]
    )


def _header(manifest: Mapping[str, Any], bench: Mapping[str, Any]) -> str:
    facts = [manifest.get("precision"), manifest.get("task"), bench.get("date")]
    lead = " · ".join(escape(fact) for fact in facts if fact)
    return (
        '<header>\n<p class="eyebrow">edgeconv report</p>\n'
        f"<h1>{escape(manifest.get('name', 'model'))}</h1>\n"
        f'<p class="lead">{lead}</p>\n</header>'
    )


def _banner(verdict: Verdict) -> str:
    reasons = "\n".join(
        f'<li><span class="file">{escape(a.file)}</span>: {escape(a.reason)}.</li>'
        for a in verdict.artifacts
    )
    return (
        f'<section class="verdict {verdict.status}">\n'
        f"<strong>{_HEADLINES[verdict.status]}</strong>\n"
        f"<ul>\n{reasons}\n</ul>\n"
        f'<p class="note">The gate: {escape(verdict.gate)}.</p>\n</section>'
    )


def _figure(verdict: Verdict) -> str:
    svg = interval_figure(verdict.artifacts)
    if not svg:
        return ""
    drop = any(artifact.gated == "top1_drop" for artifact in verdict.artifacts)
    title = "Drop against the margin" if drop else "Agreement against the margin"
    what = "Top-1 drop in percentage points" if drop else "Items with the same answer, in percent"
    return (
        f"<h2>{title}</h2>\n<figure>\n{svg}\n<figcaption>{what}. The dot is the estimate, the "
        "thin line its 95% interval, the broad line runs between the one-sided bounds that decide. "
        "Shaded: beyond the margin.</figcaption>\n</figure>"
    )
